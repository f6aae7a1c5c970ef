public import ClusterModel

/// The `etcd3` or `etcd` section; both mean the v3 API (configuration.md §3.7).
public struct EtcdSettings: Sendable, Hashable {
    public enum Scheme: String, Sendable, Hashable {
        case http, https
    }

    /// Read from the section `etcd`, which once meant the v2 API: the scope may stand there, too, with daemons at work
    /// on it.
    public let mayMeanVersionTwo: Bool
    public let scheme: Scheme
    /// At least one.
    public let endpoints: [HostPort]
    /// The endpoints stand as they are: never replaced by the list of the cluster's members.
    public let usesProxies: Bool
    /// Both or neither.
    public let authentication: BasicAuthentication?
    public let authorityFile: String?
    public let certificateFile: String?
    /// Nil where the key stands in the certificate file.
    public let keyFile: String?

    /// The sections that mean etcd.
    static let sections = ["etcd", "etcd3"]
    private static let defaultPort = 2379

    /// From `section`, one of `sections`.
    init(_ reader: inout SettingReader, section: String) {
        mayMeanVersionTwo = section == "etcd"
        let address = EtcdSettings.address(&reader, section)
        scheme = address.scheme
        endpoints = address.endpoints
        usesProxies = address.isProxy || reader.bool("\(section).use_proxies")
        authentication = address.isURL ? address.authentication : EtcdSettings.authentication(&reader, section)
        authorityFile = reader.path("\(section).cacert")
        certificateFile = reader.path("\(section).cert")
        keyFile = reader.path("\(section).key")
    }

    private struct Address {
        var scheme = Scheme.http
        var endpoints: [HostPort] = []
        var authentication: BasicAuthentication?
        var isProxy = false
        var isURL = false
    }

    /// `proxy` and `url` win over `hosts`, `hosts` over `host`.
    private static func address(_ reader: inout SettingReader, _ section: String) -> Address {
        guard reader.object(section) != nil else { return Address() }
        for key in ["proxy", "url"] {
            guard let text = reader.filledText("\(section).\(key)", allowed: "a URL") else { continue }
            guard var address = urlAddress(text) else {
                reader.wrong("\(section).\(key)", "http://[user:password@]host[:port] or the same with https")
                return Address()
            }
            address.isProxy = key == "proxy"
            return address
        }
        var address = Address()
        let scheme = reader.word("\(section).protocol")
        address.scheme = Scheme(rawValue: scheme) ?? .http
        let explicitPort = reader.raw("\(section).port") != nil
        let port = Int(reader.integer("\(section).port"))
        if reader.raw("\(section).hosts") != nil {
            address.endpoints = hosts(&reader, "\(section).hosts", port)
        } else if let text = reader.filledText("\(section).host", allowed: "host[:port]") {
            if let host = HostPort(text, defaultPort: port) {
                address.endpoints = [HostPort(host: host.host, port: explicitPort ? port : host.port)]
            } else {
                reader.wrong("\(section).host", "host[:port]")
            }
        }
        checkDiscovery(&reader, section, hasEndpoints: !address.endpoints.isEmpty)
        return address
    }

    private static func hosts(_ reader: inout SettingReader, _ path: String, _ port: Int) -> [HostPort] {
        let texts = (reader.texts(path, separator: ",") ?? []).filter { !$0.isEmpty }
        if texts.isEmpty { reader.wrong(path, "a list of host[:port], at least one") }
        return texts.compactMap { text in
            if let host = HostPort(text, defaultPort: port) { return host }
            reader.report(path, "found \"\(Secrets.shown(text))\" in the list, allowed is host[:port]")
            return nil
        }
    }

    private static func checkDiscovery(_ reader: inout SettingReader, _ section: String, hasEndpoints: Bool) {
        let names = ["srv", "discovery_srv", "srv_domain", "srv_suffix"].map { "\(section).\($0)" }
        let discovery = names.first { reader.raw($0)?.isTruthy == true }
        if let discovery {
            let message = "discovery by SRV records is not supported by this version; name the endpoints in hosts"
            hasEndpoints ? reader.warn(discovery, message) : reader.report(discovery, message)
        } else if !hasEndpoints, reader.raw("\(section).hosts") == nil, reader.raw("\(section).host")?.isTruthy != true
        {
            reader.missing(
                section,
                "one of hosts, host or url: "
                    + "Neither srv, hosts, host nor url are defined in \(section) section of config"
            )
        }
    }

    /// A URL sets everything, the name and the password as well: those beside it do not count.
    private static func urlAddress(_ text: String) -> Address? {
        guard let separator = text.firstRange(of: "://"),
            let scheme = Scheme(rawValue: text[..<separator.lowerBound].lowercased()),
            let host = HostPort(url: text, defaultPort: defaultPort)
        else { return nil }
        var address = Address(scheme: scheme, endpoints: [host], isURL: true)
        let authority = text[separator.upperBound...].prefix { $0 != "/" && $0 != "?" }
        if let at = authority.lastIndex(of: "@") {
            let user = authority[..<at]
            let name = user.prefix { $0 != ":" }
            if name.count < user.count {
                address.authentication = BasicAuthentication(
                    username: percentDecoded(name), password: percentDecoded(user.dropFirst(name.count + 1)))
            }
        }
        return address
    }

    private static func percentDecoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.first {
            let digits = rest.dropFirst().prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(String(Substring(digits)), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func authentication(_ reader: inout SettingReader, _ section: String) -> BasicAuthentication? {
        let username = reader.filledText("\(section).username")
        let password = reader.filledText("\(section).password")
        if let username, let password { return BasicAuthentication(username: username, password: password) }
        if username != nil { reader.warn("\(section).username", "is not used, because there is no password") }
        if password != nil { reader.warn("\(section).password", "is not used, because there is no username") }
        return nil
    }
}
