#!/usr/bin/env bash
# Puts Apache Kafka's jars into .peers/kafka, from Maven Central through mvn, for the tests that meet a real broker.
# Idempotent: what is there in the version of tools/peers-kafka.xml stays. Needs java and mvn; says so where they are absent.
set -eu
cd "$(dirname "$0")/.."
pom=tools/peers-kafka.xml
folder=.peers/kafka
version=$(sed -n '/kafka_2.13/,/version/s:.*<version>\(.*\)</version>.*:\1:p' "$pom")

[ -e "$folder/kafka_2.13-$version.jar" ] && [ -e "$folder/log4j2.xml" ] && exit 0
for program in java mvn; do
    command -v "$program" >/dev/null || { echo "peers: $program is absent, no Kafka; try as root: apt-get install default-jre-headless maven"; exit 1; }
done
echo "peers: fetching Apache Kafka $version"
rm -rf "$folder.new"
mkdir -p "$folder.new"
cp "$pom" "$folder.new/pom.xml"
mvn -q -B -f "$folder.new/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.0:copy-dependencies \
    -DoutputDirectory="$PWD/$folder.new" -DincludeScope=runtime
cat >"$folder.new/log4j2.xml" <<'XML'
<Configuration status="ERROR">
  <Appenders><Console name="err" target="SYSTEM_ERR"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="ERROR"><AppenderRef ref="err"/></Root></Loggers>
</Configuration>
XML
rm -rf "$folder"
mv "$folder.new" "$folder"
