# From `cargo metadata`: what one program is made of, as CycloneDX 1.5.
#
# $system names the program's system. $crates holds a line "NAME VERSION" for each crate that is in
# the program, ours included: cargo's tree knows, whereas its metadata counts in what the tests
# switch on. $checksums holds a line "NAME VERSION SHA-256" for each crate of Cargo.lock, $libraries a
# line that begins with "NAME VERSION" for each library that no crate brings. No time and no serial
# number, so that the same sources give the same text.

def lines: split("\n") | map(select(. != ""));

($crates | lines) as $crates
| ($checksums | lines | map(split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}) | from_entries) as $checksum
| (.packages | map(select("\(.name) \(.version)" | IN($crates[])) | {key: .id, value: .}) | from_entries) as $package
| (.resolve.nodes
  | map(select($package[.id])
    | {key: .id, value: [.deps[] | select($package[.pkg] and any(.dep_kinds[]; .kind == null)) | .pkg]})
  | from_entries) as $needs
| .resolve.root as $root
| {
    "rust-std": "MIT OR Apache-2.0",
    musl: "MIT",
    libgcc: "GPL-3.0-or-later WITH GCC-exception-3.1",
    "mingw-w64": "ZPL-2.1"
  } as $licence
| def purl: "pkg:cargo/\(.name)@\(.version)";
  # Old manifests separate alternatives by a stroke.
  def licence: .license // error("\(.name) names no licence") | gsub("/"; " OR ");
  def component:
    {
      "bom-ref": purl,
      type: "library",
      name,
      version,
      description: (.description // "" | gsub("\\s+"; " ") | ltrimstr(" ") | rtrimstr(" ")),
      hashes: [{alg: "SHA-256", content: $checksum["\(.name) \(.version)"]}],
      licenses: [{expression: licence}],
      purl: purl,
      externalReferences: [select(.repository) | {type: "vcs", url: .repository}]
    };
  ($package | keys) as $inside
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: (
        $package[$root]
        | {
            "bom-ref": purl,
            type: "application",
            name,
            version,
            description,
            licenses: [{expression: licence}],
            purl: purl,
            properties: [{name: "docusign-refresh:system", value: $system}]
          }
      )
    },
    components: (
      ($inside - [$root] | map($package[.] | component) | sort_by(.purl))
      + ($libraries | lines | map(split(" ") | "pkg:generic/\(.[0])@\(.[1])" as $purl | {
          "bom-ref": $purl,
          type: "library",
          name: .[0],
          version: .[1],
          licenses: [{expression: ($licence[.[0]] // error("\(.[0]) has no known licence"))}],
          purl: $purl
        }))
    ),
    dependencies: (
      $inside
      | map({ref: ($package[.] | purl), dependsOn: ($needs[.] | map($package[.] | purl) | unique)})
      | sort_by(.ref)
    )
  }
