import ClusterModel
import Logging
import Ports
import Posix

extension Administrator {
    func apply(_ actions: [SlotAction], deadline: BootInstant) {
        for action in actions {
            do throws(PostgreSQLError) {
                try apply(action, deadline)
            } catch {
                // 42710: somebody was faster; 42704: it is gone already.
                if case .query(let state, _) = error, ["42710", "42704"].contains(state) { continue }
                instance.log.warning("replication slot: \(action): \(error)")
                // The others would fail for the same reason, each after a wait of its own.
                if error.isTimeout || error.isUnanswered || error.isRejection || error == .cancelled { return }
            }
        }
    }

    private func apply(_ action: SlotAction, _ deadline: BootInstant) throws(PostgreSQLError) {
        if case .verifyLogical(let names, let primary, let path) = action {
            return try verify(names, at: primary, through: path, deadline)
        }
        guard let statement = SlotStatements.statement(action) else { return }
        if case .drop(let name) = action { instance.remember { $0.copiedSlots.forget(name) } }
        guard let database = statement.database else {
            return _ = try query(statement.text, statement.parameters, deadline)
        }
        // Decoding may take as long as this may.
        var target = instance.localTarget(statementTimeout: deadline - BootClock.now())
        target.parameters["dbname"] = database
        let connection = try instance.connect(to: target, deadline: deadline)
        do throws(PostgreSQLError) {
            try connection.query(statement.text, statement.parameters, deadline: deadline)
        } catch {
            guard case .advanceLogical(let name, _, _) = action, error.isBeyondReach else { throw error }
            instance.log.warning("the copy of the logical slot \(name) is of no use and is dropped: \(error)")
            instance.remember { $0.copiedSlots.forget(name) }
            try connection.query(SlotStatements.dropCopy, [name], deadline: deadline)
        }
    }

    /// Compares the horizons here and at the primary. Whoever finds no answer asks again in the next cycle.
    private func verify(_ names: [String], at primary: Upstream, through path: String, _ deadline: BootInstant)
        throws(PostgreSQLError)
    {
        let here = try horizons(query(SlotStatements.catalogHorizons, [], deadline))
        let until = min(deadline, BootClock.now() + .seconds(2))
        let target = instance.target(
            instance.configuration.rewindCredentials, host: primary.address.host, port: primary.address.port,
            options: instance.options(.seconds(2)))
        let there = horizons(
            try PostgreSQLConnection.connect(to: target, deadline: until)
                .query(SlotStatements.catalogHorizons, deadline: until))
        instance.remember { memory in
            for name in names {
                memory.copiedSlots.look(
                    name, primary: there.logical[name], physical: there.physical[path], local: here.logical[name])
            }
        }
        if there.physical[path] == nil {
            instance.log.info("\(primary.name) does not keep catalog rows for this standby yet")
        }
    }

    private func horizons(_ rows: [[String?]]) -> (logical: [String: UInt32], physical: [String: UInt32]) {
        var (logical, physical): ([String: UInt32], [String: UInt32]) = ([:], [:])
        for row in rows {
            guard row.count == 3, let name = row[0], let horizon = row[2].flatMap({ UInt32($0) }) else { continue }
            if row[1] == "t" { logical[name] = horizon } else { physical[name] = horizon }
        }
        return (logical, physical)
    }
}

extension PostgreSQLError {
    /// The WAL that a slot stands for is not here, or the slot cannot be moved at all.
    fileprivate var isBeyondReach: Bool {
        if case .query(let state, _) = self { ["58P01", "55000"].contains(state) } else { false }
    }
}
