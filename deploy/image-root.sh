#!/bin/sh
# Lays out the root of the container image: image-root.sh PROGRAM DIRECTORY
#
# The program, the libraries that the loader would take for it, the authorities that HTTPS connections are checked
# against, and the name of one user. The Dockerfile calls it, and adds /data, which belongs to that user; the tests call it
# too, and run the program in the result.
set -eu

program=$1
root=$2
user=65532

install -D -m 0555 "$program" "$root/feishu-broadcast"

libraries=$(ldd "$program")
case $libraries in
*"not found"*)
    printf '%s: a library is missing:\n%s\n' "$0" "$libraries" >&2
    exit 1
    ;;
esac
# "name => /path (0x…)" and, for the loader, "/path (0x…)"; the kernel's own vdso has no path.
printf '%s\n' "$libraries" | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p' | while read -r library; do
    install -D -m 0555 "$library" "$root$library"
done

install -D -m 0444 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf 'feishu:x:%s:%s::/data:/nonexistent\n' "$user" "$user" >"$root/etc/passwd"
printf 'feishu:x:%s:\n' "$user" >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chmod 0444 "$root/etc/passwd" "$root/etc/group" "$root/etc/nsswitch.conf"

# A mount point: SQLite sorts there what does not fit into memory. /data is the Dockerfile's, since it belongs to that user.
install -d -m 1777 "$root/tmp"
