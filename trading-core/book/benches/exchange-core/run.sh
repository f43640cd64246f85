#!/usr/bin/env bash
# Usage: run.sh COMMANDS. Needs Java 17 and Maven, which fetches exchange-core by its name.
# Last line of the output: median, least and most million commands/s, trades, shares, shares cancelled.
set -euo pipefail
cd "$(dirname "$0")"
build=${CARGO_TARGET_DIR:-../../../../target}/exchange-core-bench
mkdir -p "$build"
build=$(realpath "$build")
# Maven builds beside its pom, and the sources stay free of what it leaves.
cp -r pom.xml src "$build"
cd "$build"
mvn -q -B compile org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath \
  -Dmdep.outputFile=classpath.txt
exec java -Xms4g -Xmx4g -XX:+UseParallelGC \
  --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/java.nio=ALL-UNNAMED \
  --add-exports java.base/jdk.internal.ref=ALL-UNNAMED --add-exports java.base/sun.nio.ch=ALL-UNNAMED \
  -cp "target/classes:$(cat classpath.txt)" tricenter.DirectBook "$@"
