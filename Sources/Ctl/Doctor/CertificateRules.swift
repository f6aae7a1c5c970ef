import COpenSSL
import ClusterModel
import Configuration
import Glibc

/// Certificates that are named in a configuration, and how long they are good for.
enum CertificateRules {
    /// From when on a certificate is good, and until when: seconds from now, negative where that has passed.
    struct Validity: Sendable, Hashable {
        var begins: Int64
        var ends: Int64
    }

    private static let daysMin: Int64 = 30
    private static let places = StoreSettings.certificateKeys.merging([
        "restapi": ["certfile", "cafile"], "ctl": ["certfile", "cacert"],
    ]) { $1 }

    /// - Parameter validity: of the certificate at a path; nil where there is none that can be read. As it is, it
    ///   blocks: it reads files.
    static func findings(_ tree: JSONObject, validity: (String) -> Validity? = Self.validity) -> [Finding] {
        places.sorted { $0.key < $1.key }.flatMap { section, keys in
            keys.compactMap { key in
                guard let path = tree[section]?[key]?.string, !path.isEmpty else { return nil }
                return finding("\(section).\(key)", path, validity(path))
            }
        }
    }

    private static func finding(_ setting: String, _ path: String, _ validity: Validity?) -> Finding? {
        guard let validity else {
            return Finding(
                severity: .problem, what: "\(setting): \(path) holds no certificate that can be read",
                remedy: "see whether the file is there and is PEM")
        }
        let what = "\(setting): the certificate \(path)"
        if validity.ends <= 0 {
            return Finding(
                severity: .problem, what: "\(what) has been out of date for \(days(-validity.ends))",
                remedy: "make a new one, and reload the members")
        }
        if validity.begins > 0 {
            return Finding(
                severity: .problem, what: "\(what) becomes good only in \(days(validity.begins))",
                remedy: "see whether the clock here is right; if it is, take the certificate before it")
        }
        guard validity.ends < daysMin * secondsOfDay else { return nil }
        return Finding(
            severity: .warning, what: "\(what) is good for \(days(validity.ends)) more",
            remedy: "make a new one, and reload the members")
    }

    private static let secondsOfDay: Int64 = 86_400

    private static func days(_ seconds: Int64) -> String {
        switch seconds / secondsOfDay {
        case 0: "less than a day"
        case 1: "1 day"
        case let days: "\(days) days"
        }
    }

    /// Of the first certificate in a PEM file.
    static func validity(_ path: String) -> Validity? {
        guard let file = BIO_new_file(path, "r") else { return nil }
        defer { BIO_free(file) }
        guard let certificate = PEM_read_bio_X509(file, nil, nil, nil) else { return nil }
        defer { X509_free(certificate) }
        guard let begins = secondsUntil(X509_get0_notBefore(certificate)),
            let ends = secondsUntil(X509_get0_notAfter(certificate))
        else { return nil }
        return Validity(begins: begins, ends: ends)
    }

    private static func secondsUntil(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var (days, seconds) = (Int32(0), Int32(0))
        guard let time, ASN1_TIME_diff(&days, &seconds, nil, time) == 1 else { return nil }
        return Int64(days) * secondsOfDay + Int64(seconds)
    }
}
