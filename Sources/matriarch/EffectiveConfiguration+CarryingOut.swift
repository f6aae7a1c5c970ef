import Configuration

extension EffectiveConfiguration {
    /// Does what a key asks for. That this host cannot do it is a mistake of the configuration as any other.
    func carryingOut<Value>(_ path: String, _ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch { throw ConfigurationError([problem(path, "\(error)")]) }
    }
}
