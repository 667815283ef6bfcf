#!/bin/sh
# Prints the directory of SwiftShader, a Vulkan device in software, with its loader: out of Debian's chromium-common.
set -eu

files=/usr/lib/chromium
directory="$(sh "$(dirname "$0")/debian-files.sh" software-gpu chromium-common \
  $files/vk_swiftshader_icd.json $files/libvk_swiftshader.so $files/libvulkan.so.1)"
echo "$directory$files"
