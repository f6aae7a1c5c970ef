import ClusterModel
import Logging
import Ports
import Posix

/// Rules for clients with a mistake in them: a running server goes on with those that it had, and does not start with
/// such a file. So a file that it does not take is no file to leave there.
extension Operator {
    /// The rules that stand in the file now, and are ours to replace; nil where they are not.
    func presentRules() -> String? {
        guard configuration.parameters["hba_file"] == nil, configuration.hostBasedAuthentication != nil else {
            return nil
        }
        return try? Files.readText(configuration.hostBasedAuthenticationFile)
    }

    /// After a reload: where the server has found a mistake in the new rules, those from `before` are put back.
    func refuseWrongRules(_ before: String?) async throws(PostgreSQLError) {
        guard let before, let now = presentRules(), now != before, now == writer.generatedRules,
            let mistake = mistakeInRules()
        else { return }
        log.error("PostgreSQL refuses pg_hba.conf (\(mistake)): the rules that were there stay")
        instance.remember { $0.refusedRules = now }
        try putRules(before)
        try await reload()
    }

    /// What the server says of the first rule that it cannot read. Who is not let in cannot ask.
    private func mistakeInRules() -> String? {
        let deadline = BootClock.now() + .seconds(3)
        let statement = """
            SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL ORDER BY line_number LIMIT 1
            """
        guard let row = try? instance.connect(deadline: deadline).query(statement, deadline: deadline).first else {
            return nil
        }
        return "line \(row.first.flatMap { $0 } ?? "?"): \(row.last.flatMap { $0 } ?? "")"
    }

    /// After a start that failed: takes the rules of the last one that did not, where there are others. Whether there
    /// were. If the server starts with them, the new ones are tried on it as it runs: it says then what is wrong.
    func takeFormerRules() -> Bool {
        guard let now = presentRules(), now == writer.generatedRules,
            let former = try? Files.readText(writer.backup(of: configuration.hostBasedAuthenticationFile)),
            former != now
        else { return false }
        do throws(PostgreSQLError) {
            try putRules(former)
        } catch {
            return false
        }
        log.error("PostgreSQL does not start, and pg_hba.conf is another than when it last did: that one is taken")
        instance.remember { $0.refusedRules = now }
        return true
    }

    /// However the second start went: what was refused on suspicion alone is tried again.
    func tryRulesAgain() {
        let isOwed = instance.remember { memory in
            defer { memory.refusedRules = nil }
            return memory.refusedRules != nil
        }
        if isOwed { applySoon() }
    }

    /// The server has come up without something of its configuration: that is tried on it as it runs.
    func applySoon() {
        instance.remember { memory in
            memory.isConfigurationWritten = false
            memory.retry = (BootClock.now(), .milliseconds(500))
        }
    }

    private func putRules(_ text: String) throws(PostgreSQLError) {
        do throws(SystemError) {
            _ = try writer.put(text, configuration.hostBasedAuthenticationFile)
        } catch {
            throw .failed("cannot write pg_hba.conf: \(error)")
        }
    }
}
