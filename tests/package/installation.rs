//! The package is installed, removed and purged, on a copy of this machine that nothing else sees.

use std::{fs, process::Command};

use crate::{Package, printed_by, say_not_checked};

/// Runs a script in a copy of this machine's files, whose changes are in memory and end with it.
const IN_COPY: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/tmp/boxoffice.deb"
exec chroot "$1/root" sh -euc "$3"
"#;

/// Prints a line for each state; what dpkg says goes to the standard error.
const LIFE: &str = r#"
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
dpkg --purge boxoffice >&2 2>/dev/null || true
state() {
  echo "$1: $(dpkg-query --show --showformat '${db:Status-Status}' boxoffice 2>/dev/null || echo unknown)"
  for path in /usr/bin/boxoffice /etc/boxoffice/boxoffice.env /var/lib/boxoffice /var/lib/boxoffice/boxoffice.db; do
    if [ -e "$path" ]; then
      stat --format "$1: %n %U:%G %a" "$path"
    fi
  done
}
as_account() {
  setpriv --reuid boxoffice --regid boxoffice --clear-groups env BOXOFFICE_DATA_DIR=/var/lib/boxoffice "$@"
}
dpkg --install /tmp/boxoffice.deb >&2
state installed
if [ -L /etc/systemd/system/multi-user.target.wants/boxoffice.service ]; then
  echo 'the unit is enabled'
fi
as_account boxoffice migrate --create >&2
as_account cat /etc/boxoffice/boxoffice.env >/dev/null
if setpriv --reuid nobody --regid nogroup --clear-groups cat /etc/boxoffice/boxoffice.env 2>/dev/null; then
  echo 'everybody reads the settings'
fi
echo '# changed' >>/etc/boxoffice/boxoffice.env
chmod 600 /etc/boxoffice/boxoffice.env
dpkg --install /tmp/boxoffice.deb >&2
state upgraded
grep -q '# changed' /etc/boxoffice/boxoffice.env
dpkg --remove boxoffice >&2
state removed
dpkg --purge boxoffice >&2
state purged
as_account sh -c 'rm /var/lib/boxoffice/*'
dpkg --install /tmp/boxoffice.deb >&2
dpkg --purge boxoffice >&2
state 'purged without data'
"#;

const STATES: &str = "\
installed: installed
installed: /usr/bin/boxoffice root:root 755
installed: /etc/boxoffice/boxoffice.env root:boxoffice 640
installed: /var/lib/boxoffice boxoffice:boxoffice 700
upgraded: installed
upgraded: /usr/bin/boxoffice root:root 755
upgraded: /etc/boxoffice/boxoffice.env root:boxoffice 600
upgraded: /var/lib/boxoffice boxoffice:boxoffice 700
upgraded: /var/lib/boxoffice/boxoffice.db boxoffice:boxoffice 600
removed: config-files
removed: /etc/boxoffice/boxoffice.env root:boxoffice 600
removed: /var/lib/boxoffice boxoffice:boxoffice 700
removed: /var/lib/boxoffice/boxoffice.db boxoffice:boxoffice 600
purged: unknown
purged: /var/lib/boxoffice boxoffice:boxoffice 700
purged: /var/lib/boxoffice/boxoffice.db boxoffice:boxoffice 600
purged without data: unknown
";

#[test]
fn an_installation_is_upgraded_removed_and_purged_and_its_data_stays() {
    let Some(package) = Package::get() else { return };
    let copy = package.root.with_file_name("copy");
    fs::create_dir(&copy).unwrap();
    let in_copy = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", IN_COPY, "sh"]);
        command.arg(&copy).arg(&package.file).arg(script);
        command
    };
    let output = in_copy("command -v adduser").output();
    if output.is_ok_and(|output| output.status.success()) {
        assert_eq!(printed_by(&mut in_copy(LIFE)), STATES);
    } else {
        let reason = "only root can make a copy of a machine, and only of one with adduser";
        say_not_checked("installing, removing and purging the package", reason);
    }
}
