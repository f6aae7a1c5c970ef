/// Addresses of a peer's REST API.
enum PeerURL {
    /// `apiURL`'s scheme and authority with `path` (rest-api.md §19); nil where it is no http address.
    static func replacingPath(of apiURL: String, with path: String) -> String? {
        guard let scheme = apiURL.firstRange(of: "://") else { return nil }
        guard ["http", "https"].contains(apiURL[..<scheme.lowerBound].lowercased()) else { return nil }
        let authority = apiURL[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if authority.isEmpty { return nil }
        return apiURL[..<scheme.upperBound] + authority + path
    }
}
