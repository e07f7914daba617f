#!/bin/sh
# The compiler with coverage counters, on the stable toolchain.
#
# Cargo calls it in place of rustc for the crates of this workspace only (RUSTC_WORKSPACE_WRAPPER), so that
# everything from the registry is shared with the ordinary build and only our own parsers are compiled again.
# LLVM's SanitizerCoverage is what libFuzzer reads: 8-bit counters and a table of edges for guidance, and
# traced comparisons so that magic numbers are solved instead of guessed. No sanitizer: they need nightly.
# One codegen unit, because the counters' sections of several units do not always meet their tables.
rustc=$1
shift
case " $* " in
*" --crate-name build_script_"* | *" --crate-type proc-macro "*)
    # Runs inside the build, where there is no libFuzzer to link the counters with.
    exec "$rustc" "$@"
    ;;
esac
exec "$rustc" "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1
