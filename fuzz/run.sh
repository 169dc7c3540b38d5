#!/bin/sh
# Fuzzes a target for so many seconds: `fuzz/run.sh TARGET SECONDS [libFuzzer flags]`. What it finds lies in fuzz/artifacts/TARGET, and the exit code is 1.
set -eu
cd "$(dirname "$0")/.."
target=$1 seconds=$2
shift 2

# Beside fuzz/seeds, what the tests and examples have.
more= most=4096
case $target in
    zip_weights) more=tests/goldens/weights most=20000 ;;
    hdf5) more=tests/goldens/weights most=20000 ;;
    safetensors) most=16384 ;;
    image) more=tests/goldens/decode ;;
    sweep_file) more=examples ;;
esac
dictionary=fuzz/dictionaries/$target.dict
[ ! -f "$dictionary" ] || set -- "$@" -dict="$dictionary"
seeds=fuzz/seeds/$target
[ -d "$seeds" ] || seeds=
mkdir -p "fuzz/corpus/$target"

# Inputs become files; a memory file system keeps them off the disk.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
# The versions that the program has.
[ fuzz/Cargo.lock -nt Cargo.lock ] || cp Cargo.lock fuzz/Cargo.lock
# cargo-fuzz needs flags that only a nightly compiler, or this variable, allows.
export RUSTC_BOOTSTRAP=1
exec cargo fuzz run "$target" "fuzz/corpus/$target" $seeds $more -- \
    -max_total_time="$seconds" -max_len="$most" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 -print_final_stats=1 "$@"
