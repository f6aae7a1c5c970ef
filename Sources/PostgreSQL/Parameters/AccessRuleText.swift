import ClusterModel
import Glibc

/// One line of pg_hba.conf, looked through for what keeps a server from starting. Pure. What it does not know it takes:
/// the server itself has the last word.
enum AccessRuleText {
    private static let types: Set = ["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"]
    private static let methods: Set = [
        "trust", "reject", "scram-sha-256", "md5", "password", "gss", "sspi", "ident", "peer", "ldap", "radius", "cert",
        "pam", "bsd", "oauth",
    ]

    /// What is wrong with it, in words; nil for nothing.
    static func mistake(in line: String) -> String? {
        guard let words = words(line) else { return "a quote is not closed" }
        guard let type = words.first else { return nil }
        if type.hasPrefix("@") || type.hasPrefix("include") { return nil }
        guard types.contains(type) else { return "\(Secrets.shown(type)) is no type of connection" }
        if words.count < 3 { return "names no \(words.count < 2 ? "database" : "user")" }
        var rest = words.dropFirst(3)
        if type != "local" {
            guard let address = rest.popFirst() else { return "names no address" }
            if let mistake = mistake(address: address) { return mistake }
            if isNumeric(address), !address.hasByte("/") {
                guard let mask = rest.popFirst(), isNumeric(mask) else {
                    return "the address \(Secrets.shown(address)) has no mask: \(address)/32 is one host"
                }
            }
        }
        guard let method = rest.popFirst() else { return "names no method of authentication" }
        guard methods.contains(method) else { return "\(Secrets.shown(method)) is no method of authentication" }
        if type == "local", ["gss", "sspi", "cert"].contains(method) {
            return "\(method) is not for local connections"
        }
        if type != "local", method == "peer" { return "peer is for local connections only" }
        if type != "hostssl", method == "cert" { return "cert is for hostssl only" }
        return rest.first { !$0.hasByte("=") }.map { "\(Secrets.shown($0)) is no option: name=value is one" }
    }

    private static func mistake(address: String) -> String? {
        let parts = address.split(atByte: "/", maxSplits: 1)
        if parts.count == 1 { return nil }
        let isSix = parts[0].utf8.contains(UInt8(ascii: ":"))
        guard isNumeric(String(parts[0])) else { return "\(Secrets.shown(address)) is no network" }
        guard let bits = Int(parts[1]), (0...(isSix ? 128 : 32)).contains(bits) else {
            return "\(Secrets.shown(address)) has a mask of other than 0 to \(isSix ? 128 : 32) bits"
        }
        return nil
    }

    private static func isNumeric(_ text: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return inet_pton(AF_INET, text, &four) == 1 || inet_pton(AF_INET6, text, &six) == 1
    }

    /// Fields between blanks; what stands between commas is one field. A comment ends the line. Nil where a quote is
    /// not closed.
    static func words(_ line: String) -> [String]? {
        var words: [String] = []
        var word: [UInt8]?
        var isQuoted = false
        var isListed = false
        for byte in line.utf8 {
            switch byte {
            case UInt8(ascii: "\""):
                isQuoted.toggle()
                word = word ?? []
                isListed = false
            case UInt8(ascii: "#") where !isQuoted: return finished(words, word)
            case _ where !isQuoted && (byte == 0x20 || (0x09...0x0D).contains(byte)):
                if isListed { continue }
                if let done = word { words.append(String(decoding: done, as: UTF8.self)) }
                word = nil
            default:
                isListed = byte == UInt8(ascii: ",") && !isQuoted
                word = (word ?? []) + [byte]
            }
        }
        return isQuoted ? nil : finished(words, word)
    }

    private static func finished(_ words: [String], _ word: [UInt8]?) -> [String] {
        words + (word.map { [String(decoding: $0, as: UTF8.self)] } ?? [])
    }
}
