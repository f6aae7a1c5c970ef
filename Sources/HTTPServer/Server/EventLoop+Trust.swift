/// What a connection may count on, under the settings in force.
extension EventLoop {
    /// A client that was verified counts as such while the same authority is trusted, and until its certificate ends.
    func security(of connection: Connection) -> HTTPRequest.Security {
        guard connection.transport.isEncrypted else { return .plain }
        return isVerified(connection) ? .verified : .encrypted
    }

    /// Whether the connection could be made now: not without a certificate where one is required, nor with one that no
    /// longer counts.
    func isTrusted(_ connection: Connection) -> Bool {
        guard let trust = settings.tls?.trust else { return true }
        switch trust.verification {
        case .none: return true
        case .optional: return connection.transport.client == nil || isVerified(connection)
        case .required: return isVerified(connection)
        }
    }

    private func isVerified(_ connection: Connection) -> Bool {
        guard let client = connection.transport.client else { return false }
        return client.trust.authority == settings.tls?.trust.authority && LoopClock.now() < client.until
    }
}
