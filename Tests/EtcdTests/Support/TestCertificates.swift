import Glibc
import Posix
import TestSupport

/// A certificate authority, and certificates that it has signed, by the openssl command.
struct TestCertificates: Sendable {
    let directory: String

    var ca: String { "\(directory)/ca.crt" }
    func cert(_ name: String) -> String { "\(directory)/\(name).crt" }
    func key(_ name: String) -> String { "\(directory)/\(name).key" }

    static func with(_ body: (TestCertificates) async throws -> Void) async throws {
        let certificates = TestCertificates(directory: try makeTemporaryDirectory("tls"))
        do {
            try await certificates.make()
            try await body(certificates)
        } catch {
            try? Files.removeTree(certificates.directory)
            throw error
        }
        try? Files.removeTree(certificates.directory)
    }

    private func make() async throws {
        let script = """
            set -e; cd \(directory)
            for ca in ca other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                -subj /CN=$ca -keyout $ca.key -out $ca.crt; done
            for name in server client stranger; do
              openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name \
                -keyout $name.key -out $name.csr
              host=localhost; [ $name = stranger ] && host=elsewhere
              printf 'subjectAltName=IP:127.0.0.1,DNS:'$host'\\nextendedKeyUsage=serverAuth,clientAuth\\n' > $name.ext
              openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                -extfile $name.ext -out $name.crt
            done
            cat client.crt client.key > both.pem
            touch done
            """
        _ = try spawnGuarded(["/bin/sh", "-c", script], log: "\(directory)/log")
        try await eventually("the certificates are made") { Files.exists("\(directory)/done") }
    }
}
