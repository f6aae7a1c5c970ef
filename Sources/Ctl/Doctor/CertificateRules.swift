import COpenSSL
import ClusterModel
import Configuration
import Glibc

/// Certificates that are named in a configuration, and how long they are good for.
enum CertificateRules {
    private static let daysMin = 30
    private static let places = [
        "restapi": ["certfile", "cafile"], "ctl": ["certfile", "cacert"], "etcd3": ["cert", "cacert"],
        "etcd": ["cert", "cacert"],
    ]

    /// Blocking: it reads files.
    static func findings(_ tree: JSONObject) -> [Finding] {
        places.sorted { $0.key < $1.key }.flatMap { section, keys in
            keys.compactMap { key in
                guard let path = tree[section]?[key]?.string, !path.isEmpty else { return nil }
                return finding("\(section).\(key)", path)
            }
        }
    }

    private static func finding(_ setting: String, _ path: String) -> Finding? {
        guard let days = daysLeft(path) else {
            return Finding(
                severity: .problem, what: "\(setting): \(path) holds no certificate that can be read",
                remedy: "see whether the file is there and is PEM")
        }
        guard days < daysMin else { return nil }
        return Finding(
            severity: days < 0 ? .problem : .warning,
            what: days < 0
                ? "\(setting): the certificate \(path) has been out of date for \(-days) days"
                : "\(setting): the certificate \(path) is good for \(days) days more",
            remedy: "make a new one, and reload the members")
    }

    /// Of the first certificate in a PEM file.
    static func daysLeft(_ path: String) -> Int? {
        guard let file = BIO_new_file(path, "r") else { return nil }
        defer { BIO_free(file) }
        guard let certificate = PEM_read_bio_X509(file, nil, nil, nil) else { return nil }
        defer { X509_free(certificate) }
        var (days, seconds) = (Int32(0), Int32(0))
        guard ASN1_TIME_diff(&days, &seconds, nil, X509_get0_notAfter(certificate)) == 1 else { return nil }
        return Int(days)
    }
}
