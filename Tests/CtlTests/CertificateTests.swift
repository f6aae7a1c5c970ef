import ClusterModel
import Testing

@testable import Ctl

/// Which certificates the doctor speaks of, and how.
@Suite struct CertificateTests {
    private static let day: Int64 = 86_400

    private func findings(_ tree: JSONObject, _ validity: CertificateRules.Validity?) -> [String] {
        CertificateRules.findings(tree) { _ in validity }.map { "\($0.severity.word): \($0.what)" }
    }

    @Test(
        arguments: [
            (-100 * day, 30 * day, nil), (-100 * day, 30 * day - 1, "warning: C is good for 29 days more"),
            (-1, 3 * day - 1, "warning: C is good for 2 days more"),
            (-1, 2 * day - 1, "warning: C is good for 1 day more"),
            (-1, day - 1, "warning: C is good for less than a day more"),
            (-1, 0, "PROBLEM: C has been out of date for less than a day"),
            (-2 * day, -3600, "PROBLEM: C has been out of date for less than a day"),
            (-99 * day, -40 * day, "PROBLEM: C has been out of date for 40 days"),
            (3600, 90 * day, "PROBLEM: C becomes good only in less than a day"),
            (2 * day, 90 * day, "PROBLEM: C becomes good only in 2 days"),
        ] as [(Int64, Int64, String?)])
    func nearTheirEnd(begins: Int64, ends: Int64, finding: String?) {
        let found = findings(["ctl": ["certfile": "/c"]], .init(begins: begins, ends: ends))
        let what = finding?.replacing(": C ", with: ": ctl.certfile: the certificate /c ")
        #expect(found == [what].compactMap(\.self))
    }

    @Test func everyPlaceIsLookedAt() {
        let tree: JSONObject = [
            "restapi": ["certfile": "a", "cafile": "b", "keyfile": "k"], "ctl": ["certfile": "c", "cacert": "d"],
            "etcd3": ["cert": "e", "cacert": "f"], "etcd": ["cert": "g", "cacert": "h"],
        ]
        let found = CertificateRules.findings(tree) { _ in nil }
        #expect(found.count == 8 && found.allSatisfy { $0.severity == .problem })
        #expect(found.contains { $0.what == "etcd3.cacert: f holds no certificate that can be read" })
        #expect(CertificateRules.findings(["restapi": ["certfile": ""], "ctl": "x"]) { _ in nil } == [])
    }

    /// IntegrationTests has certificates that openssl made.
    @Test func whatIsNoCertificate() {
        for path in ["/nowhere/x.pem", "/dev/null", "/proc/self/status"] {
            #expect(CertificateRules.validity(path) == nil)
        }
    }
}
