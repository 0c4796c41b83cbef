# Debian and Ubuntu packages by purpose, with what each is for. Sourced by setup.sh.
# shellcheck shell=bash disable=SC2034

packages_build=(
  cmake      # aws-lc and Opus are built with it
  g++        # OpenH264, SQLite, aws-lc and Opus are compiled
  nasm       # OpenH264 runs 2.5 times faster with its assembly
  pkg-config # finds system libraries
)
packages_run=(
  libvulkan1           # the Vulkan loader
  mesa-vulkan-drivers  # draws without a GPU, and on AMD and Intel
  libegl1              # OpenGL, where Vulkan is missing
)
packages_test=(
  chromium # the browser that end-to-end tests play in
  coturn   # the TURN server that relayed sessions are tested through
  pebble   # the ACME server that certificates are tested against
)
