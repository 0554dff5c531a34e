# `make images` builds and pushes the images of all platforms: see docs/docker.md
variable "IMAGE" {
  default = "paddock"
}

variable "VERSION" {
  default = "latest"
}

group "default" {
  targets = ["cpu", "cuda"]
}

# The engine of each platform is compiled on the machine that builds; the rest is emulated (QEMU).
target "cpu" {
  context   = "."
  args      = { BACKEND = "cpu" }
  platforms = ["linux/amd64", "linux/arm64"]
  tags      = ["${IMAGE}:${VERSION}"]
}

target "cuda" {
  context   = "."
  args      = { BACKEND = "cuda" }
  platforms = ["linux/amd64"]
  tags      = ["${IMAGE}:${VERSION}-cuda"]
}
