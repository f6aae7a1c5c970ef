// swift-tools-version: 6.2
import PackageDescription

// A package of its own: libFuzzer needs unsafe flags, which only a root package may have. `scripts/fuzz` builds and
// runs it. Each target is a libFuzzer program: its main function is the fuzzer's.

let fuzzed: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-parse-as-library"]),
]

let package = Package(
    name: "fuzz",
    dependencies: [.package(name: "matriarch", path: "..")],
    targets: [
        .executableTarget(
            name: "FuzzRequest", dependencies: [.product(name: "FuzzedParts", package: "matriarch")],
            swiftSettings: fuzzed),
        .executableTarget(
            name: "FuzzConfiguration", dependencies: [.product(name: "FuzzedParts", package: "matriarch")],
            swiftSettings: fuzzed),
        .executableTarget(
            name: "FuzzText", dependencies: [.product(name: "FuzzedParts", package: "matriarch")],
            swiftSettings: fuzzed),
    ]
)
