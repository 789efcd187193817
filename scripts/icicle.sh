#!/usr/bin/env bash
# Builds ICICLE for BN254 (MSM, G2, NTT, vector operations) from the sources of its Go module.
#
#   scripts/icicle.sh cpu            the CPU device, for tests
#   scripts/icicle.sh cuda [ARCHS]   the CPU and CUDA devices; ARCHS as CMake takes them, default 80;86;89;90
#
# The result is kept under .cache/icicle, named by everything that it depends on; a second call finds it
# there. The last line printed is its folder, with lib/ inside. Missing Debian packages are installed,
# for cuda also NVIDIA's compiler from the non-free component.
set -euo pipefail
cd "$(dirname "$0")/.."

module=github.com/ingonyama-zk/icicle-gnark/v3@v3.2.2
module_sum='h1:B+aWVgAx+GlFLhtYjIaF0uGjU3rzpl99Wf9wZWt+Mq8='

die() { echo "icicle.sh: $*" >&2; exit 1; }
say() { echo "icicle.sh: $*" >&2; }

kind=${1:-}
archs=${2:-80;86;89;90}
case $kind in
cpu)
	packages=(clang cmake ninja-build patch)
	flags=(-DCUDA_BACKEND=OFF)
	;;
cuda)
	packages=(clang cmake ninja-build patch g++-11 nvidia-cuda-toolkit)
	flags=(-DCUDA_BACKEND=ON "-DCUDA_ARCH=$archs" -DCMAKE_CUDA_HOST_COMPILER=g++-11)
	;;
*) die "usage: scripts/icicle.sh cpu | cuda [ARCHS]" ;;
esac
flags+=(-DCURVE=bn254 -DMSM=ON -DNTT=ON -DG2=ON -DBUILD_TESTS=OFF -DCMAKE_BUILD_TYPE=Release)

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# add_non_free derives a source of the non-free component from the sources that are there.
add_non_free() {
	local to=/etc/apt/sources.list.d/gristmill-non-free.sources from
	[ ! -e "$to" ] || return 0
	for from in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
		[ -e "$from" ] || continue
		if [ "$from" = /etc/apt/sources.list ]; then
			to=${to%.sources}.list
			sed -nE 's/^(deb [^#]*) main.*/\1 contrib non-free/p' "$from" | as_root tee "$to" >/dev/null
		else
			sed -E 's/^Components:.*/Components: contrib non-free/' "$from" | as_root tee "$to" >/dev/null
		fi
		return 0
	done
	die "no Debian sources to derive the non-free component from: install nvidia-cuda-toolkit by hand"
}

install_packages() {
	local missing=() p
	for p in "${packages[@]}"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them, this is no Debian"
	say "installing ${missing[*]}"
	[ "$kind" = cpu ] || add_non_free
	as_root apt-get -q -o DPkg::Lock::Timeout=900 update >&2
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=900 \
		install -y --no-install-recommends "${missing[@]}" >&2
}

download=$(cd /tmp && GOFLAGS=-mod=mod go mod download -json "$module") || die "cannot download $module: $download"
field() { sed -nE "s/^\s*\"$1\": \"(.*)\",?\$/\1/p" <<<"$download"; }
[ "$(field Sum)" = "$module_sum" ] || die "$module has the checksum $(field Sum), not $module_sum"

id=$({
	echo "$module_sum $kind ${flags[*]}"
	cat scripts/icicle/*.patch
} | sha256sum | cut -c1-16)
base=$PWD/.cache/icicle
dest=$base/$kind-$id
mkdir -p "$base"
exec 9>"$base/$kind.lock"
flock 9
if [ ! -e "$dest/built" ]; then
	install_packages
	started=$SECONDS
	work=$base/work-$kind-$id
	# A build that was interrupted goes on where it was.
	if [ ! -e "$work/patched" ]; then
		rm -rf "$work"
		mkdir -p "$work"
		cp -r "$(field Dir)/icicle" "$work/src"
		chmod -R u+w "$work/src"
		for p in scripts/icicle/*.patch; do
			patch -s -d "$work/src" -p1 <"$p" || die "$p does not apply to $module"
		done
		touch "$work/patched"
	fi
	rm -rf "$dest"
	say "building for $kind, log in $work/log"
	(
		unset CC CXX
		cmake -G Ninja -S "$work/src" -B "$work/build" "-DCMAKE_INSTALL_PREFIX=$dest" "${flags[@]}" &&
			cmake --build "$work/build" --target install
	) >"$work/log" 2>&1 || {
		tail -40 "$work/log" >&2
		die "the build failed, see $work/log"
	}
	find "$dest" -name '*.so' -exec strip --strip-unneeded {} +
	# The header that the Go code is written against is its own; these are for readers.
	cp -r "$work/src/include" "$dest/include"
	echo "$module $kind ${flags[*]}" >"$dest/built"
	rm -rf "$work"
	say "built in $((SECONDS - started)) s: $(find "$dest/lib" -name '*.so' -printf '%s\n' | awk '{s+=$1} END {printf "%.1f MB", s/1e6}') of libraries"
fi
echo "$dest"
