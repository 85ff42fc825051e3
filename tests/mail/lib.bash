# shellcheck shell=bash
# What the scripts of this folder share. Sourced in this folder, never run.

# shellcheck source=tests/servers/lib.bash
source ../servers/lib.bash

# The Python of `install`, with its libraries.
python() {
  local python
  python=$(./install --path)
  if [[ ! -x $python ]]; then
    echo "there is no SMTP server for tests: run tests/mail/install (make test does)" >&2
    return 1
  fi
  echo "$python"
}

if [[ -d ${cache:?}/python/root ]]; then
  # The Python that tests/servers/install has unpacked brings its libraries along.
  LD_LIBRARY_PATH=$(libraries "$cache/python/root")
  export LD_LIBRARY_PATH
fi
