# Sourced with the folder that scripts/icicle.sh printed: sets what go build needs to link ICICLE so that
# the program finds the libraries in lib/ beside itself.
export CGO_ENABLED=1
export CGO_LDFLAGS="-L$1/lib -Wl,-rpath-link,$1/lib -Wl,-rpath,\$ORIGIN/lib"

# copy_icicle FROM TO puts the libraries into TO/lib, with the C++ runtime that they were built with.
copy_icicle() {
	rm -rf "$2/lib"
	mkdir -p "$2/lib"
	cp -r "$1/lib/." "$2/lib/"
	local name
	for name in libstdc++.so.6 libgcc_s.so.1; do
		cp -L "$(g++ -print-file-name="$name")" "$2/lib/"
	done
}
