import ClusterModel
import Glibc
import Posix

/// Certificates of a cluster whose REST APIs ask everybody for one: an authority, a client, and for every node a server
/// whose key has a password. Made by the openssl command.
struct Certificates: Sendable {
    let directory: String

    private static let password = "secret"

    /// What the tests, HAProxy and the other nodes show.
    var identity: ClientIdentity { ClientIdentity(file: "\(directory)/client.pem", credentials: "dTpw") }

    /// `restapi` of a node.
    func restAPI(of name: String) -> JSONObject {
        [
            "certfile": .string("\(directory)/\(name).crt"), "keyfile": .string("\(directory)/\(name).key"),
            "keyfile_password": .string(Self.password), "cafile": .string("\(directory)/ca.crt"),
            "verify_client": "required", "ciphers": "ECDHE+AESGCM",
            "authentication": ["username": "u", "password": "p"], "allowlist": ["localhost"],
            "http_extra_headers": ["X-Plain": "both", "X-Over": "plain"],
            "https_extra_headers": ["X-Over": "tls"], "server_tokens": "ProductOnly",
        ]
    }

    /// `ctl` of every node.
    var ctl: JSONObject {
        [
            "certfile": .string("\(directory)/client.crt"), "keyfile": .string("\(directory)/client.key"),
            "cacert": .string("\(directory)/ca.crt"),
        ]
    }

    /// A certificate that signed itself, with its key in the same file.
    static func makeAlone(_ file: String, days: Int = 2) async throws {
        _ = try await Tool.run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "\(days)", "-subj", "/CN=alone", "-keyout", file, "-out", "\(file).crt",
        ])
        try Files.replace(file, with: try Files.read(file) + Files.read("\(file).crt"), mode: 0o600)
        if let user = User.unprivileged { chown(file, user.uid, user.gid) }
    }

    func make(for names: [String]) async throws {
        _ = try await Tool.run([
            "/bin/sh", "-c",
            """
            set -e; mkdir -p "$0"; cd "$0"
            ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
            openssl req -x509 $ec -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
            openssl req $ec -subj /CN=client -keyout client.key -out client.csr
            openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out client.crt
            cat client.crt client.key > client.pem
            """, directory,
        ])
        for name in names { try await replace(name, named: name) }
        try share()
    }

    /// Puts a new certificate that says `common` in the place of the server `name`'s: the key first, then the
    /// certificate, as tools that renew certificates do.
    func replace(_ name: String, named common: String) async throws {
        _ = try await Tool.run([
            "/bin/sh", "-c",
            """
            set -e; cd "$0"
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -passout pass:"$3" -subj /CN="$2" \
                -keyout new.key -out new.csr
            printf 'subjectAltName=IP:127.0.0.1\\n' > new.ext
            openssl x509 -req -in new.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile new.ext -out new.crt
            chmod 644 new.key new.crt
            mv new.key "$1.key"; mv new.crt "$1.crt"
            """, directory, name, common, Self.password,
        ])
    }

    /// The daemons run as another user where we are root.
    private func share() throws {
        guard let user = User.unprivileged else { return }
        for path in [directory] + (try Files.list(directory)).map({ "\(directory)/\($0)" }) {
            chown(path, user.uid, user.gid)
        }
    }
}
