#!/usr/bin/env bash
# Installs what is missing, and says so. Run again it does nothing.
#
#   infra/install.sh [services] [build] [ci] [fuzz] [tools]     (nothing named: services and build)
#
# Programs come from the distribution's packages. MySQL and Redis are unpacked into a private folder
# instead: no service is installed or started on this machine, and its own packages stay as they
# are. Kafka, Connect, Debezium and the registry come through Maven, versions in infra/maven/*.
# Each download is made aside and renamed, so that an interrupted one is not taken for complete.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "needs root and there is no sudo: run as root: $*"
  fi
}

apt_install() {
  have apt-get || die "please install: $* (only Debian and Ubuntu are installed automatically)"
  say "installing packages: $*"
  as_root apt-get update -q >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null
}

# COMMAND=PACKAGE… : installs the packages whose command is missing.
need_commands() {
  local pair missing=()
  for pair in "$@"; do have "${pair%%=*}" || missing+=("${pair#*=}"); done
  [[ ${#missing[@]} == 0 ]] || apt_install "${missing[@]}"
}

# into NAME FUNCTION: fills the cache's folder NAME by FUNCTION FOLDER, once.
into() {
  local folder new
  folder=$(cached "$1")
  [[ ! -d $folder ]] || return 0
  say "preparing $1"
  new=$folder.new.$$
  rm -rf "$folder".new.*
  mkdir -p "$new"
  "$2" "$new"
  mv "$new" "$folder"
}

# ---- through Maven ----

maven() { # POM GOAL…
  mvn -q -B -f "$INFRA_DIR/maven/$1/pom.xml" "${@:2}" >"$CACHE_DIR/maven.log" 2>&1 || {
    cat "$CACHE_DIR/maven.log" >&2
    die "maven could not fetch $1"
  }
}

fetch_kafka() { maven kafka dependency:copy-dependencies -DoutputDirectory="$1"; }

fetch_archives() { maven archives dependency:copy -DoutputDirectory="$1"; }

fetch_registry() {
  tar -xzf "$(cached archives)"/apicurio-registry-app-*.tar.gz -C "$1"
  mv "$1"/apicurio-registry-app-*-runner.jar "$1/apicurio-registry-app-runner.jar"
}

# Debezium, with viewtide's own classes among its own, and the Avro converter. The converter ships no
# service manifest, without which Connect does not see it.
fetch_plugins() {
  tar -xzf "$(cached archives)"/debezium-connector-mysql-*.tar.gz -C "$1"
  compile_own "$1/debezium-connector-mysql"
  maven converter dependency:copy-dependencies -DoutputDirectory="$1/apicurio-converter"
  "$(java_bin java)" -cp "$(cached kafka)/*" org.apache.kafka.tools.ConnectPluginPath \
    sync-manifests --plugin-path "$1" >"$1/manifests.log" 2>&1 || die "connect cannot read its plugins: $(cat "$1/manifests.log")"
}

# compile_own FOLDER: as infra/connect-plugin/Dockerfile does it.
compile_own() {
  local sources=$INFRA_DIR/connect-plugin classes=$1.classes
  "$(java_bin javac)" --release 17 -proc:none -cp "$(cached kafka)/*:$1/*" -d "$classes" "$sources"/*.java
  "$(java_bin jar)" --create --file "$1/viewtide-connect.jar" -C "$classes" viewtide -C "$sources" META-INF
  rm -rf "$classes"
}

# ---- through apt, into a private folder ----

# private_apt FOLDER COMMAND…: apt that knows of no installed package and keeps its lists in FOLDER.
private_apt() {
  local command=$2 folder=$1
  shift 2
  APT_CONFIG=$folder/apt.conf "$command" -q "$@"
}

# private_apt_setup FOLDER [SOURCES]: with the machine's own package sources or with SOURCES.
private_apt_setup() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  : >"$1/status"
  {
    printf '%s\n' "Dir::State::status \"$1/status\";" "Dir::State::Lists \"$1/lists\";" "Dir::Cache \"$1/cache\";"
    printf '%s\n' 'Acquire::Languages "none";' 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";'
    printf '%s\n' 'APT::Sandbox::User "";' 'APT::Install-Recommends "false";'
    if [[ $# == 2 ]]; then printf '%s\n' "Dir::Etc::SourceList \"$2\";" 'Dir::Etc::SourceParts "/dev/null";'; fi
  } >"$1/apt.conf"
  private_apt "$1" apt-get update >/dev/null
}

# unpack FOLDER APT-FOLDER PACKAGE…: the packages and all they depend on, down to the C library.
unpack() {
  local folder=$1 apt=$2 package
  shift 2
  private_apt "$apt" apt-get install -y --download-only "$@" >/dev/null
  for package in "$apt"/cache/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
  rm -rf "$apt"
}

# wrapper FOLDER PROGRAM [OPTION…]: FOLDER/bin/PROGRAM runs it with the libraries it came with.
wrapper() {
  local folder=$1 name=$2 path
  shift 2
  path=$(cd "$folder/root" && find usr/sbin usr/bin -name "$name" | head -1)
  [[ -n $path ]] || die "$name is not in the packages"
  mkdir -p "$folder/bin"
  cat >"$folder/bin/$name" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(dirname "\$0")")/root
libraries=\$(echo "\$root"/usr/lib/*-linux-gnu*)
for loader in "\$libraries"/ld-linux*.so.* "\$root"/lib/*/ld-linux*.so.* "\$root"/lib64/ld-linux*.so.*; do
  [ -e "\$loader" ] && break
done
# The first option stays first: MySQL takes --no-defaults nowhere else.
exec "\$loader" --library-path "\$libraries:\$root/lib/\$(basename "\$libraries"):\$root/usr/lib/mysql/private" \\
  "\$root/$path" "\$@" $*
WRAPPER
  chmod +x "$folder/bin/$name"
}

# Debian's stable releases carry no MySQL, its unstable suite does: from the machine's own mirror.
unstable_sources() {
  local mirror codename
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-sid}")
  # shellcheck disable=SC2016  # expanded by apt
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$codename" '$2 == codename && $3 == "main" { print $1; exit }')
  [[ -n $mirror ]] || die "no package source for $codename main among this machine's"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s unstable main\n' "$mirror"
}

newest_mysql_package() { # APT-FOLDER KIND
  private_apt "$1" apt-cache search --names-only "^mysql-$2-core(-[0-9.]+)?\$" | cut -d' ' -f1 | sort -V | tail -1
}

fetch_mysql() {
  local apt=$1/apt server
  private_apt_setup "$apt"
  server=$(newest_mysql_package "$apt" server)
  if [[ -z $server ]]; then
    rm -rf "$apt"
    mkdir -p "$apt"
    unstable_sources >"$apt/sources.list"
    private_apt_setup "$apt" "$apt/sources.list"
    server=$(newest_mysql_package "$apt" server)
  fi
  [[ -n $server ]] || die "no MySQL server among the packages: put a mysqld of 8.0 or later on the PATH"
  unpack "$1" "$apt" "$server" "${server/server/client}"
  # shellcheck disable=SC2016  # expanded by the wrapper
  wrapper "$1" mysqld '--basedir="$root/usr"' '--lc-messages-dir="$root/usr/share/mysql"' \
    '--plugin-dir="$root/usr/lib/mysql/plugin"'
  wrapper "$1" mysql
}

fetch_redis() {
  private_apt_setup "$1/apt"
  unpack "$1" "$1/apt" redis-server
  wrapper "$1" redis-server
  wrapper "$1" redis-cli
}

# A server of the distribution may be confined to its own folders (AppArmor): then not that one.
mysql_on_path() {
  local version
  have mysqld && have mysql && [[ ! -e /etc/apparmor.d/usr.sbin.mysqld ]] || return 1
  version=$(mysqld --version 2>/dev/null)
  [[ $version != *MariaDB* && $version =~ Ver\ ([0-9]+)\. ]] && ((BASH_REMATCH[1] >= 8))
}

# ---- what may be asked for ----

install_tools() {
  need_commands curl=curl jq=jq
}

install_services() {
  [[ $(uname) == Linux ]] || die "the native services need Linux: use ./start.sh --docker"
  install_tools
  need_commands flock=util-linux setsid=util-linux ss=iproute2
  java_bin java >/dev/null || apt_install default-jre-headless
  [[ -d $(cached plugins) ]] || java_bin javac >/dev/null || apt_install default-jdk-headless
  have mvn || [[ -d $(cached plugins) ]] || apt_install maven
  mkdir -p "$CACHE_DIR"
  # Two that download at once would do it twice.
  exec 8>"$CACHE_DIR/lock"
  flock 8
  mysql_on_path || into mysql fetch_mysql
  { have redis-server && have redis-cli; } || into redis fetch_redis
  into kafka fetch_kafka
  [[ -d $(cached registry) && -d $(cached plugins) ]] || into archives fetch_archives
  into registry fetch_registry
  into plugins fetch_plugins
  rm -rf "$(cached archives)"
}

install_build() {
  need_commands gcc=gcc g++=g++ make=make pkg-config=pkg-config perl=perl python3=python3
  have cargo || die "Rust is missing: install rustup (https://rustup.rs), which then takes the version that" \
    "rust-toolchain.toml names"
}

install_ci() {
  need_commands shellcheck=shellcheck docker-compose=docker-compose
}

# Fuzzing needs the nightly compiler; the build itself does not.
install_fuzz() {
  install_build
  install_tools
  rustup run nightly rustc --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
  have cargo-fuzz || cargo install --locked cargo-fuzz@0.13.2
}

[[ $# -gt 0 ]] || set -- services build
for part in "$@"; do
  case $part in
    services | build | ci | fuzz | tools) "install_$part" ;;
    *) die "usage: infra/install.sh [services] [build] [ci] [fuzz] [tools]" ;;
  esac
done
