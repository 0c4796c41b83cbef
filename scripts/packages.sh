# Debian and Ubuntu packages by purpose, with what each is for. Sourced by setup.sh.
# shellcheck shell=bash disable=SC2034

packages_build=(
  cmake            # aws-lc and Opus are built with it
  g++              # OpenH264, SQLite, aws-lc and Opus are compiled
  nasm             # OpenH264 runs 2.5 times faster with its assembly
  libasound2-dev   # cpal, which captures sound, links it
  libxkbcommon-dev # keyboard layouts of the compositor
  pkg-config       # finds system libraries
)
packages_run=(
  libvulkan1           # the Vulkan loader
  mesa-vulkan-drivers  # draws without a GPU, and on AMD and Intel
  libegl1              # OpenGL, where Vulkan is missing
  bubblewrap           # the sandbox of titles that are programs
  pulseaudio           # a private sound server for each of them
  xkb-data             # keyboard layouts
  xwayland             # titles that speak X11
  chocolate-doom       # plays Freedoom
  freedoom             # the free game of the catalogue
)
packages_test=(
  chromium      # the browser that end-to-end tests play in
  iproute2      # addresses of the emulated path's two ends
  postgresql    # the database that records of more than one machine are tested on
  nats-server   # the bus between matchmakers
  faketime      # matchmakers whose clocks are wrong
  coturn        # the TURN server that relayed sessions are tested through
  libxml2-utils # checks files for banks against their schema
  qpdf          # checks the form of invoices
  poppler-utils # reads their words (pdftotext)
  openssl       # makes the certificate of that server
  pebble        # the ACME server that certificates are tested against
  libsdl2-2.0-0 # the library that most games take gamepads from
  mesa-utils    # OpenGL programs, on Wayland and X11
  vulkan-tools  # a Vulkan program
  vulkan-validationlayers # checks every Vulkan call of the export tests
  libaom3       # encodes AV1 in the stand-in for NVIDIA's driver
  dav1d         # decodes it, as other people do
  libx265-199   # encodes HEVC in the stand-in
  libde265-0    # decodes it, as other people do
)
