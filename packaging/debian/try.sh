#!/bin/sh
# Installs the package, runs the server like the installed unit, upgrades, removes and purges it.
#
# It changes the system that it runs in: `cargo xtask test package` runs it in an overlay above this
# computer's root, with its own network. $1: the package.
set -eu

package=$1

fail() {
    echo "error: $*" >&2
    exit 1
}

is_there() {
    for path; do
        [ -e "$path" ] || fail "$path is missing"
    done
}

is_gone() {
    for path; do
        [ ! -e "$path" ] && [ ! -L "$path" ] || fail "$path still exists"
    done
}

echo "== install"
mount -t tmpfs tmpfs /run
[ -e /proc/self ] || mount -t proc proc /proc
ip link set lo up
# Another server of this computer may use it.
[ ! -e /srv/ftp ] || mv /srv/ftp /srv/ftp.before
dpkg -i "$package"
is_there /usr/bin/wharf /etc/wharf/wharf.toml /usr/lib/systemd/system/wharf.socket \
    /etc/logrotate.d/wharf /etc/fail2ban/filter.d/wharf.conf /usr/share/man/man1/wharf.1.gz \
    /usr/share/bash-completion/completions/wharf /usr/share/zsh/vendor-completions/_wharf \
    /usr/share/fish/vendor_completions.d/wharf.fish /usr/share/doc/wharf/copyright
id wharf >/dev/null
[ "$(stat -c %U:%a /var/lib/wharf/users.toml)" = wharf:600 ] || fail "users.toml has the wrong owner or mode"
[ "$(stat -c %U:%a /srv/ftp)" = wharf:750 ] || fail "/srv/ftp has the wrong owner or mode"
is_there /etc/systemd/system/multi-user.target.wants/wharf.service
is_gone /etc/systemd/system/sockets.target.wants/wharf.socket
dpkg -V wharf

echo "== add an account and check the configuration"
echo secret | runuser -u wharf -- \
    wharf user add anna --home /srv/ftp/anna --create-home --permissions full --password-file -
runuser -u wharf -- wharf check
unit=/usr/lib/systemd/system/wharf.service
systemd-analyze verify "$unit" /usr/lib/systemd/system/wharf.socket

echo "== run the server like the unit"
line() {
    sed -n "s/^$1=//p" "$unit"
}
install -d -o wharf -g wharf -m 0750 /run/wharf
log=$(mktemp)
as_unit() {
    exec setpriv --reuid="$(line User)" --regid="$(line User)" --clear-groups --no-new-privs \
        --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service \
        --bounding-set=-all,+net_bind_service \
        env STATE_DIRECTORY=/var/lib/wharf RUNTIME_DIRECTORY=/run/wharf "$@"
}
# shellcheck disable=SC2046 # the unit's line is words
(as_unit $(line ExecStartPre))
# shellcheck disable=SC2046
as_unit $(line ExecStart) 2>"$log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
tries=0
until grep -q event=ready "$log"; do
    kill -0 $server || { cat "$log"; fail "the server has exited"; }
    tries=$((tries + 1))
    [ $tries -lt 600 ] || { cat "$log"; fail "the server is not ready"; }
    sleep 0.1
done
[ "$(ps -o user= -p $server)" = wharf ] || fail "it does not run as wharf"
echo hello >/tmp/up.txt
curl --silent --show-error --max-time 20 --ssl-reqd --insecure --user anna:secret \
    --upload-file /tmp/up.txt ftp://127.0.0.1/up.txt
[ "$(cat /srv/ftp/anna/up.txt)" = hello ] || fail "the uploaded file is wrong"
[ "$(curl --silent --show-error --max-time 20 --ssl-reqd --insecure --user anna:secret \
    ftp://127.0.0.1/up.txt)" = hello ] || fail "the downloaded file is wrong"
wharf status
kill -TERM $server
wait $server
trap - EXIT

echo "== upgrade: configuration and accounts are kept"
echo '# mine' >>/etc/wharf/wharf.toml
dpkg -i "$package"
grep -q '^# mine' /etc/wharf/wharf.toml || fail "the config was overwritten"
grep -q anna /var/lib/wharf/users.toml || fail "the accounts were overwritten"

echo "== remove"
dpkg -r wharf
is_gone /usr/bin/wharf "$unit"
is_there /etc/wharf/wharf.toml /var/lib/wharf/users.toml /srv/ftp/anna/up.txt

echo "== install again, remove and purge"
dpkg -i "$package"
dpkg -P wharf
is_gone /etc/wharf /var/lib/wharf /var/log/wharf /run/wharf /usr/share/doc/wharf \
    /etc/logrotate.d/wharf /etc/fail2ban/filter.d/wharf.conf \
    /etc/systemd/system/multi-user.target.wants/wharf.service \
    /var/lib/systemd/deb-systemd-helper-enabled/wharf.service.dsh-also
is_there /srv/ftp/anna/up.txt
echo "== done"
