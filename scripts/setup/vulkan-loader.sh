#!/bin/sh
# Prints the directory of Vulkan's loader, libvulkan.so.1, out of Debian's libvulkan1: it finds the driver of the machine.
set -eu

files=/usr/lib/x86_64-linux-gnu
directory="$(sh "$(dirname "$0")/debian-files.sh" vulkan-loader libvulkan1 $files/libvulkan.so.1)"
echo "$directory$files"
