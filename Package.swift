// swift-tools-version: 6.2
import PackageDescription

/// The strictest settings that the toolchain has: they hold for every target of ours, tests included.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "matriarch",
    products: [
        // For Fuzz, which is a package of its own.
        .library(
            name: "FuzzedParts", type: .static,
            targets: ["ClusterModel", "HighAvailability", "JSON", "HTTPServer", "ControlAPI", "PostgreSQL"]),
        .executable(name: "matriarch", targets: ["matriarch"]),
        .executable(name: "matriarch-guardian", targets: ["matriarch-guardian"]),
        .executable(name: "matriarchctl", targets: ["matriarchctl"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        // System libraries, by module map: their headers never appear in a public declaration of ours.
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        // What the C importer cannot see: variadic functions, macros, and system calls that need _GNU_SOURCE. One target
        // for each library, so that who opens a file depends on libc alone.
        .target(name: "CPlatform"),
        .target(name: "CCurlShims", dependencies: ["CCurl"]),
        .target(name: "CTLSShims", dependencies: ["COpenSSL"]),

        // Below everything: what an instant is. Then the pure core: the standard library and nothing else.
        module("Instants"),
        // How tasks follow one another.
        module("Tasks"),
        module("ClusterModel", ["Instants"]),
        module("HighAvailability", ["ClusterModel"]),
        // By which rules a client of the store asks it: which endpoint, whose word is final, which life it is of.
        module("StoreRules", ["ClusterModel"]),

        // The seams: what the cycle may ask of the world.
        module("Ports", ["ClusterModel", "HighAvailability"]),

        // The edge: one target for each thing outside.
        module("Posix", ["CPlatform", "Instants"]),
        // `/proc`, for the daemon and for the guardian.
        module("Processes", ["CPlatform"]),
        module("JSON", ["ClusterModel", "CJansson"]),
        module("Logs", ["ClusterModel", "Posix", logging]),
        module("Configuration", ["ClusterModel", "Posix", "CYAML"]),
        module("HTTPClient", ["ClusterModel", "Posix", "CCurl", "CCurlShims"]),
        module("Etcd", ["ClusterModel", "StoreRules", "Ports", "JSON", "Posix", "HTTPClient", logging]),
        module("Peers", ["ClusterModel", "Ports", "JSON", "Posix", "HTTPClient"]),
        module(
            "PostgreSQL",
            [
                "ClusterModel", "Ports", "JSON", "Posix", "Processes", "CLibPQ", "CPlatform", logging,
            ]),
        module(
            "GuardianClient",
            [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "Processes", "Guardian", "CGuardian", "CPlatform",
                logging,
            ]),
        module("HTTPServer", ["CPlatform", "CTLSShims", "Posix", "COpenSSL", logging]),

        // The parent of the postmaster: the standard library, the C library, and nothing else.
        .target(name: "CGuardian", dependencies: ["CPlatform"]),
        module("Guardian"),
        .executableTarget(
            name: "matriarch-guardian", dependencies: ["Guardian", "CGuardian", "CPlatform", "Processes"],
            swiftSettings: strict),

        // The house: the cycle, and the face.
        module("Node", ["ClusterModel", "HighAvailability", "Ports", "Tasks", logging]),
        .target(
            name: "ControlAPI",
            dependencies: ["ClusterModel", "HighAvailability", "Ports", "JSON", "HTTPServer", logging],
            resources: [.embedInCode("matriarch.yaml")],
            swiftSettings: strict
        ),

        // What daemon and command line share: the configuration, and what it leads to. Then the face as configured.
        module(
            "ClusterAccess", ["ClusterModel", "Ports", "Posix", "Configuration", "Etcd", "Peers"]),
        module(
            "RestService", ["ClusterAccess", "Configuration", "ControlAPI", "HTTPServer", "Posix", "Tasks", logging]),

        // The operator's tool: its commands, which tests call as functions, and the program.
        module(
            "Ctl",
            [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "JSON", "Configuration", "ClusterAccess",
                "HTTPClient",
                "Peers", "CLibPQ", "COpenSSL", arguments, logging,
            ]),
        .executableTarget(name: "matriarchctl", dependencies: ["Ctl", "Posix", "CPlatform"], swiftSettings: strict),

        // A deterministic world in which the production rules and the production cycle run.
        module("Simulation", ["ClusterModel", "HighAvailability", "StoreRules", "Ports", "Node"]),

        .executableTarget(
            name: "simulate", dependencies: ["Simulation", "Posix", "ClusterModel"], swiftSettings: strict),

        .executableTarget(
            name: "matriarch",
            dependencies: [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "JSON", "Logs", "Configuration", "ClusterAccess",
                "Peers", "PostgreSQL", "GuardianClient", "Node", "ControlAPI", "RestService", "CPlatform", logging,
            ],
            swiftSettings: strict
        ),

        // What tests of several targets need.
        .target(name: "TestSupport", dependencies: ["Posix"], path: "Tests/TestSupport", swiftSettings: strict),
        tests("ClusterModelTests", ["ClusterModel"]),
        tests("HighAvailabilityTests", ["HighAvailability", "ClusterModel"]),
        tests("StoreRulesTests", ["StoreRules", "ClusterModel"]),
        tests("JSONTests", ["JSON", "ClusterModel"]),
        tests("PosixTests", ["Posix", "TestSupport", "ClusterModel", "CPlatform"]),
        tests("LogsTests", ["Logs", "ClusterModel", "Posix", "TestSupport", logging]),
        tests("ConfigurationTests", ["Configuration", "ClusterModel", "Posix", "TestSupport"]),
        tests(
            "EtcdTests",
            [
                "Etcd", "HTTPClient", "Peers", "Ports", "ClusterModel", "JSON", "Posix", "TestSupport", "CPlatform",
                logging,
            ]),
        tests(
            "PostgreSQLTests",
            ["PostgreSQL", "Ports", "ClusterModel", "Posix", "TestSupport", "Processes", "CPlatform", logging]),
        tests(
            "GuardianTests",
            [
                "Guardian", "GuardianClient", "HighAvailability", "PostgreSQL", "Ports", "ClusterModel", "Posix",
                "TestSupport",
                "Processes", "CPlatform", logging,
            ]),
        tests("HTTPServerTests", ["HTTPServer", "Posix", "TestSupport", "CPlatform", "COpenSSL", logging]),
        tests(
            "NodeTests", ["Node", "HighAvailability", "Ports", "ClusterModel", "JSON", "Posix", logging],
            exclude: ["transcripts"]),
        tests("SimulationTests", ["Simulation"]),
        tests(
            "ControlAPITests",
            [
                "ControlAPI", "Configuration", "HTTPServer", "HighAvailability", "Ports", "ClusterModel", "JSON",
                "Posix",
                "TestSupport", logging,
                subprocess,
            ]),
        tests(
            "EscapesTests",
            ["PostgreSQL", "ControlAPI", "HTTPServer", "Logs", "JSON", "ClusterModel", "CLibPQ", logging]),
        tests(
            "RestServiceTests",
            [
                "RestService", "ClusterModel", "Configuration", "ControlAPI", "HTTPClient", "HTTPServer", "Posix",
                "TestSupport",
                logging,
            ]),
        tests("ClusterAccessTests", ["ClusterAccess", "Configuration", "Peers", "TestSupport"]),
        tests("CtlTests", ["Ctl", "ClusterModel", "Configuration", "JSON", "Ports", "Posix"]),
        tests("TasksTests", ["Tasks"]),
        tests("TidyTests", ["Posix"]),
        tests(
            "IntegrationTests", ["Posix", "JSON", "ClusterModel", "CPlatform", "CLibPQ", "COpenSSL", "TestSupport"]),
    ]
)
