#!/bin/sh
# Builds the static program: build.sh SYSTEM OUTPUT
#
# SYSTEM is one of those in the table `systems`, which are published: Linux with musl, Windows 7 and later. Or
# rustc's name of one of these, or of the toolchain's own, with glibc.
#
# For 64-bit Linux rustc's own standard library is used where it is installed (rustup target add). Otherwise
# it is built, too, from the sources that come with rustc (rustup component add rust-src, or
# Debian's rustc-web and rust-web-src), against Debian's musl or mingw-w64. rustup has none for Windows 7,
# and its musl for 32 bits counts seconds in 32 bits, which end in 2038.
#
# Beside what is published it writes OUTPUT.libraries: what is inside that no crate of ours brings
# (libraries.sh).
#
# CARGO, RUSTC, CARGO_HOME and CARGO_TARGET_DIR mean what they mean to cargo. None of these
# directories stands in the program: the same sources give the same bytes wherever they lie.
set -eu

system=${1:?names the system}
output=${2:?names the file to write}
here=$(dirname "$0")
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_HOME CARGO_TARGET_DIR

fail() {
    echo "build.sh: $system: $1" >&2
    exit 1
}

column() {
    awk -v name="$system" -v number="$1" '$1 == name || $2 == name { print $number }' "$here/systems"
}
target=$(column 2)
target=${target:-$system}
gcc=$(column 3)
musl=$(column 4)
processor=${target%%-*}
case $target in
    "$(uname -m)"-*-linux-*) gcc=gcc ;;
esac
[ -n "$gcc" ] || fail 'not a system of this program: see src/dist/systems'
command -v "$gcc" >/dev/null || fail "no $gcc on this machine (Debian: the package gcc-… of that name)"

mkdir -p "$CARGO_TARGET_DIR/$target/linking"
linking=$(cd "$CARGO_TARGET_DIR/$target/linking" && pwd)
# The flags depend on where cargo unpacks the crates.
"$cargo" fetch --locked --quiet
flags=$(sh "$here/flags.sh" "$target")

# Sets `library` to the sources of the standard library, and `rustc` to the compiler that they are of.
find_sources() {
    for candidate in "$rustc" /usr/bin/rustc; do
        library=$("$candidate" --print sysroot 2>/dev/null)/lib/rustlib/src/rust
        if [ -d "$library/library/std" ]; then
            rustc=$candidate
            flags="$flags --remap-path-prefix=$library=/rust"
            # The options in the file are not for everyone: cargo takes them from a stable rustc as well, so.
            export RUSTC_BOOTSTRAP=1
            # Derived `Debug` names variants, without their fields: nothing else is shown, and 30 KB are saved. A panic names
            # its line, but not the file: 20 KB.
            shorter='-Z fmt-debug=shallow -Z location-detail=line'
            # shellcheck disable=SC2086 # words
            if "$rustc" $shorter --print sysroot >/dev/null 2>&1; then
                flags="$flags $shorter"
            fi
            return
        fi
    done
    fail "neither its standard library nor that library's sources are here \
(rustup target add $target; or rustup component add rust-src; or Debian: rustc-web rust-web-src)"
}

# The linkers are programs, so that no flag which names this directory takes part in the hashes. Their name
# tells rustc what kind they are.
make_linker_for_musl() {
    library_of_c=/usr/lib/$musl
    if [ "$musl" = sources ]; then
        library_of_c=$CARGO_TARGET_DIR/musl/$target/lib
        [ -f "$library_of_c/musl-gcc.specs" ] || sh "$here/musl.sh" "$target" "${library_of_c%/lib}"
    fi
    specs=$library_of_c/musl-gcc.specs
    [ -f "$specs" ] || fail "no $specs on this machine (Debian: musl-tools; for another processor its musl-dev)"
    # rustc wants libunwind. gcc's libgcc_eh has it, but looks up tables by a function that only glibc
    # has. No table is ever looked up: panics abort.
    echo 'void *_dl_find_object(void *at, void *found) { (void)at; (void)found; return (void *)-1; }' \
        >"$linking/no-tables.c"
    "$gcc" -Os -c "$linking/no-tables.c" -o "$linking/no-tables.o"
    echo "INPUT($("$gcc" -print-file-name=libgcc_eh.a) $linking/no-tables.o)" >"$linking/libunwind.a"
    printf '#!/bin/sh\nexec %s "$@" -L %s -specs %s\n' "$gcc" "$linking" "$specs" >"$linking/cc"
    chmod +x "$linking/cc"
}

# ld sorts imports by the name of the file that they come from. Under absolute names those of Rust's
# libraries would come before or after mingw's own, which lie in /usr, by where the sources lie, and the
# program would be another one. Relative to / they always come after.
make_linker_for_windows() {
    for object in rsbegin rsend; do
        "$rustc" --target "$target" --emit=obj -o "$linking/$object.o" "$library/library/rtstartup/$object.rs"
    done
    cat >"$linking/cc" <<END
#!/bin/sh
set -eu
cd /
for argument; do
    shift
    case \$argument in
        rsbegin.o | rsend.o) argument=$linking/\$argument ;;
    esac
    set -- "\$@" "\${argument#/}"
done
exec $gcc "\$@"
END
    chmod +x "$linking/cc"
}

is_ready() {
    case $processor in
        x86_64 | aarch64 | riscv64*) ls "$("$rustc" --print target-libdir --target "$target")"/libstd-* >/dev/null 2>&1 ;;
        *) return 1 ;;
    esac
}

compiler=$gcc
linker=$gcc
library_of_c=
# Nothing unwinds (see flags.sh).
c_flags='-fno-asynchronous-unwind-tables -fno-unwind-tables'
settings=
case $target in
    *-musl*)
        if ! is_ready; then
            find_sources
            make_linker_for_musl
            compiler=$linking/cc
            linker=$linking/cc
            settings=$here/musl-std.toml
            # Without the static relocation model these specs would link a dynamic program, silently.
            flags="$flags -C link-self-contained=no -C relocation-model=static"
        fi
        ;;
    *-windows-gnu)
        find_sources
        make_linker_for_windows
        linker=$linking/cc
        c_flags=
        settings=$here/windows.toml
        ;;
esac

suffix=
case $target in
    *-windows-gnu) suffix=.exe ;;
esac
in_lower_case=$(echo "$target" | tr - _)
in_upper_case=$(echo "$in_lower_case" | tr a-z A-Z)
# The libc crate takes musl for one of before 2020, with seconds of 32 bits, unless it is told.
env RUSTC="$rustc" RUSTFLAGS="$flags" RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1 \
    "CARGO_TARGET_${in_upper_case}_LINKER=$linker" \
    "CC_$in_lower_case=$compiler" "AR_$in_lower_case=${gcc%gcc}ar" "CFLAGS_$in_lower_case=$c_flags" \
    "$cargo" build ${settings:+--config "$settings"} --locked --release --target "$target" --bin docusign-refresh

mkdir -p "$(dirname "$output")"
cp "$CARGO_TARGET_DIR/$target/release/docusign-refresh$suffix" "$output"
if [ -n "$(column 1)" ]; then
    RUSTC="$rustc" CC="$gcc" MUSL="$library_of_c" sh "$here/libraries.sh" "$target" >"$output.libraries"
fi
ls -l "$output"
