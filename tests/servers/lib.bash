# shellcheck shell=bash
# What the scripts of this folder share: where the servers are kept and how one is run. Sourced, never run.
#
# The servers come from Debian packages that are only unpacked, never installed: nothing on the machine changes, no
# service starts, and no right of root is needed. A server of another release brings its own C library along, so it is
# run through the dynamic loader that was unpacked beside it.

# shellcheck disable=SC2034 # The scripts that source this file use it.
cache=${BOXOFFICE_TEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME or BOXOFFICE_TEST_CACHE has to be set}/.cache}/boxoffice-tests}

# The folder of MariaDB's messages and SQL scripts; its name changed between releases.
mariadb_share() {
  local script
  script=$(find "$1/usr/share/mariadb" "$1/usr/share/mysql" -name maria_add_gis_sp_bootstrap.sql -print -quit 2>/dev/null || true)
  if [[ -z $script ]]; then
    echo "no MariaDB was unpacked in $1" >&2
    return 1
  fi
  echo "${script%/*}"
}

# Sets `command` to the words that run the server of a kind (mariadb, mysql, galera, haproxy, nginx, redis,
# rabbitmq, prometheus), or promtool, unpacked in a folder.
server_command() {
  local kind=$1 root=$2 loader libraries share
  if [[ $kind == rabbitmq ]]; then
    rabbitmq_command "$root"
    return
  fi
  # Debian keeps libraries in /usr/lib only since trixie; before, some were in /lib.
  loader=$(find "$root/lib" "$root/usr/lib" -name 'ld-linux*.so.*' -print -quit 2>/dev/null || true)
  if [[ -z $loader ]]; then
    echo "no dynamic loader was unpacked in $root" >&2
    return 1
  fi
  libraries=$(find "$root/lib" "$root/usr/lib" -maxdepth 1 -type d -name '*-linux-gnu*' -printf '%p:' 2>/dev/null || true)
  command=("$loader" --library-path "${libraries%:}")
  case $kind in
    redis)
      command+=("$root/usr/bin/redis-server")
      return
      ;;
    prometheus | promtool)
      command+=("$root/usr/bin/$kind")
      return
      ;;
    mariadb)
      share=$(mariadb_share "$root") || return 1
      command+=("$root/usr/sbin/mariadbd" --no-defaults "--lc-messages-dir=$share")
      ;;
    mysql) command+=("$root/usr/sbin/mysqld" --no-defaults) ;;
    galera)
      share=$(mariadb_share "$root") || return 1
      command+=("$root/usr/sbin/mariadbd" --no-defaults "--lc-messages-dir=$share")
      ;;
    haproxy | nginx)
      command+=("$root/usr/sbin/$kind")
      return
      ;;
    *)
      echo "unknown kind of server: $kind" >&2
      return 1
      ;;
  esac
  command+=("--basedir=$root/usr")
  # Both refuse to run as root unless that is said.
  if [[ $(id -u) == 0 ]]; then
    command+=(--user=root)
  fi
}

# Sets `command` to the words that run RabbitMQ, whose settings are in its environment. Its scripts are left out: they
# would start a shell, and a name server for Erlang that every node of this user shares and that outlives all of them.
rabbitmq_command() {
  local root=$1 broker erlang
  broker=$(find "$root/usr/lib/rabbitmq/lib" -maxdepth 1 -name 'rabbitmq_server-*' -print -quit 2>/dev/null || true)
  erlang=$(find "$root/usr/lib/erlang" -maxdepth 1 -name 'erts-*' -print -quit 2>/dev/null || true)
  if [[ -z $broker || -z $erlang ]]; then
    echo "no RabbitMQ was unpacked in $root" >&2
    return 1
  fi
  command=(
    env "LD_LIBRARY_PATH=$(libraries "$root")" "ROOTDIR=$root/usr/lib/erlang" "BINDIR=$erlang/bin" EMU=beam PROGNAME=erl
    "ERL_LIBS=$broker/plugins" "RABBITMQ_HOME=$broker" "RABBITMQ_PLUGINS_DIR=$broker/plugins"
    "$erlang/bin/erlexec" -noinput -boot start_sasl -s rabbit boot
    # Few schedulers, which sleep while there is nothing to do: other servers run beside it.
    +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none +W w
    -syslog logger '[]' -syslog syslog_error_logger false -kernel prevent_overlapping_partitions false
  )
}

# Whether a Python is new enough for the tools that come from PyPI, and makes virtual environments with pip in them.
makes_environments() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Makes a virtual environment with the packages of a list: of this machine's Python, or of the one that
# tests/servers/install has unpacked. `refuse` is that of the script that sources this file.
make_environment() {
  local folder=$1 options=("${@:2}") root=$cache/python/root wheel
  if makes_environments python3; then
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${options[@]}"
  elif [[ -d $root ]]; then
    LD_LIBRARY_PATH=$(libraries "$root")
    export LD_LIBRARY_PATH
    "$root/usr/bin/python3" -m venv --without-pip "$folder"
    wheel=$(find "$root/usr/share/python-wheels" -name 'pip-*.whl' -print -quit)
    "$folder/bin/python" "$wheel/pip" install --quiet --disable-pip-version-check "${options[@]}"
  else
    refuse 'this machine has no Python of 3.11 or later that makes virtual environments; tests/servers/install fetches one on Debian and Ubuntu'
  fi
}

libraries() {
  local found
  found=$(find "$1/lib" "$1/usr/lib" -maxdepth 1 -type d -name '*-linux-gnu*' -printf '%p:' 2>/dev/null || true)
  echo "${found%:}"
}
