#!/usr/bin/env bash
# Checks a GPU host, from the folder this lies in:
#
#   ./run.sh [--device cuda|cpu] [--index N] [--quick] [--out DIR]
#
# It lists the devices, proves a known answer, runs the engines' conformance suite on the device, and then
# measures and tests: proofs cold, warm and several at once for the CPU engine, ours and gnark's own ICICLE
# backend, with dense and sparse witnesses; a thousand proofs in a row; proofs while memory is taken. Keys are
# made here. --quick takes small circuits and few proofs. DIR gets results.json and the logs.
set -uo pipefail
cd "$(dirname "$0")"
device=cuda index=0 quick= out=results
while (($#)); do
	case $1 in
	--device) device=$2 && shift ;;
	--index) index=$2 && shift ;;
	--out) out=$2 && shift ;;
	--quick) quick=1 ;;
	*) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2 ;;
	esac
	shift
done
mkdir -p "$out"
export ICICLE_BACKEND_INSTALL_DIR=$PWD/lib/backend
sizes=16,18,20 proofs=20 drift=1000
[ -z "$quick" ] || { sizes=10,12 proofs=3 drift=20; }

status=0
step() {
	local name=$1 log=$out/$2.log
	shift 2
	echo "== $name"
	if "$@" >"$log" 2>&1; then
		tail -n "${lines:-1}" "$log"
	else
		status=1
		tail -n 40 "$log"
		echo "!! $name failed, see $log"
	fi
}

{
	uname -srm
	ldd --version | head -1
	nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv 2>/dev/null
} | tee "$out/host.txt"
lines=3 step "devices and known answer" known ./gpucheck --device "$device" --index "$index" --known
if ((status != 0)); then
	echo "gpu-check: FAILED: the device does not prove a known answer, so there is nothing to measure"
	exit 1
fi
short=()
[ -z "$quick" ] || short=(-test.short -test.run TestConformance/default)
step "conformance suite" conformance env GRISTMILL_TEST_DEVICE="${device^^}" ./conformance -test.v "${short[@]}"
echo "== measurements"
./gpucheck --device "$device" --index "$index" --sizes "$sizes" --proofs "$proofs" --drift "$drift" \
	--out "$out/results.json" 2>"$out/measure.log" | tee "$out/results.txt" || status=1
((status == 0)) && echo "gpu-check: passed" || echo "gpu-check: FAILED, see $out"
exit $status
