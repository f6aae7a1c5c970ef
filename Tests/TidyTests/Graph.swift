/// The picture of the package, from the ground up: each target with all that it may know. Whoever draws an arrow draws
/// it here and in `Package.swift`, and the table of CONTRIBUTING says why the target is there.
enum Graph {
    static let systemLibraries: Set<String> = ["CCurl", "CJansson", "CLibPQ", "COpenSSL", "CYAML"]

    static let allowed: [(String, Set<String>)] = [
        ("CPlatform", []),
        ("CCurlShims", ["CCurl"]),
        ("CTLSShims", ["COpenSSL"]),
        ("Instants", []),
        ("Tasks", []),
        ("ClusterModel", ["Instants"]),
        ("HighAvailability", ["ClusterModel"]),
        ("StoreRules", ["ClusterModel"]),
        ("Ports", ["ClusterModel", "HighAvailability"]),
        ("Posix", ["CPlatform", "Instants"]),
        ("TestSupport", ["Posix"]),
        ("Processes", ["CPlatform"]),
        ("JSON", ["ClusterModel", "CJansson"]),
        ("Logs", ["ClusterModel", "Posix"]),
        ("Configuration", ["ClusterModel", "Posix", "CYAML"]),
        ("HTTPClient", ["ClusterModel", "Posix", "CCurl", "CCurlShims"]),
        ("Etcd", ["ClusterModel", "StoreRules", "Ports", "JSON", "Posix", "HTTPClient"]),
        ("Peers", ["ClusterModel", "Ports", "JSON", "Posix", "HTTPClient"]),
        ("PostgreSQL", ["ClusterModel", "Ports", "JSON", "Posix", "Processes", "CLibPQ", "CPlatform"]),
        ("HTTPServer", ["CPlatform", "CTLSShims", "Posix", "COpenSSL"]),
        ("CGuardian", ["CPlatform"]),
        ("Guardian", []),
        ("matriarch-guardian", ["Guardian", "CGuardian", "CPlatform", "Processes"]),
        ("Node", ["ClusterModel", "HighAvailability", "Ports", "Tasks"]),
        ("ControlAPI", ["ClusterModel", "HighAvailability", "Ports", "JSON", "HTTPServer"]),
        ("ClusterAccess", ["ClusterModel", "Ports", "Posix", "Configuration", "Etcd", "Peers"]),
        ("RestService", ["ClusterAccess", "Configuration", "ControlAPI", "HTTPServer", "Posix", "Tasks"]),
        (
            "Ctl",
            [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "JSON", "Configuration", "ClusterAccess",
                "HTTPClient", "Peers", "CLibPQ", "COpenSSL",
            ]
        ),
        ("matriarchctl", ["Ctl", "Posix", "CPlatform"]),
        ("Simulation", ["ClusterModel", "HighAvailability", "StoreRules", "Ports", "Node"]),
        ("simulate", ["Simulation", "Posix", "ClusterModel"]),
        (
            "GuardianClient",
            [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "Processes", "Guardian", "CGuardian",
                "CPlatform",
            ]
        ),
        (
            "matriarch",
            [
                "ClusterModel", "HighAvailability", "Ports", "Posix", "JSON", "Logs", "Configuration",
                "ClusterAccess", "Peers", "PostgreSQL", "GuardianClient", "Node", "ControlAPI",
                "RestService", "CPlatform",
            ]
        ),
    ]
}
