import ClusterModel
import HighAvailability
import JSON
import Logging
import Ports

extension ClusterState {
    /// Starts an effect; its answer comes back as an event.
    func carryOut(_ effect: CycleEffect) {
        switch effect {
        case .setTimer(let instant): setTimer(instant)
        case .publish(let snapshot): publish(snapshot)
        case .log(let level, let text): log(level, text)
        case .exit(let code): exit(code)
        case .reply(let id, let outcome): reply(id, outcome)
        case .perform(let operation, let slots, let plan): perform(operation, slots, plan)
        case .guardLease(let order, let deadline): tellGuardian(order, deadline)
        case .breakOff(let deadline):
            performing?.cancel()
            Task { await world.postgreSQL.halt(deadline: deadline) }
        case .load, .renew, .acquire, .release, .write, .delete, .touch, .adoptTimings: askStore(effect)
        case .observe, .askPeers, .compare, .applySlots, .checkpoint, .readHistory, .adoptConfiguration,
            .cacheConfiguration, .retryReceipt:
            askNode(effect)
        }
    }

    private func perform(_ operation: PostgreSQLOperation, _ slots: [SlotAction], _ plan: Int) {
        performing = Task {
            if let refusal = await guardRefusal(operation) { return feed(.performed(plan: plan, .failure(refusal))) }
            if !slots.isEmpty { await world.postgreSQL.apply(slots, deadline: world.clock.now() + .seconds(2)) }
            let result = await outcome { () async throws(PostgreSQLError) in
                try await world.postgreSQL.perform(operation)
            }
            feed(.performed(plan: plan, result))
        }
    }

    /// Why PostgreSQL must not become writable; nil where it may. A start waits too, and leaves it to the launcher to
    /// replace a guardian that does not answer.
    private func guardRefusal(_ operation: PostgreSQLOperation) async -> PostgreSQLError? {
        switch operation {
        case .promote:
            guard let error = await guarding?.value else { return nil }
            return .failed("the guardian has not acknowledged the lease: \(error)")
        case .startPrimary, .restart:
            _ = await guarding?.value
            return nil
        case .bootstrap, .finishBootstrap, .clone, .startStandby, .follow, .resumeReplay, .stop, .rewind,
            .recoverSingleUser, .setAsideDataDirectory, .copyLogicalSlots:
            return nil
        }
    }

    private func tellGuardian(_ order: GuardOrder, _ deadline: BootInstant) {
        guard let guardian = world.guardian else { return }
        guarding = Task {
            let result = await outcome { () async throws(GuardianError) in
                try await guardian.tell(order, deadline: deadline)
            }
            feed(.guarded(order, result))
            guard case .failure(let error) = result else { return nil }
            return error
        }
    }

    private func askStore(_ effect: CycleEffect) {
        let store = world.store
        request {
            switch effect {
            case .load(let deadline):
                return .loaded(await outcome { () async throws(DCSError) in try await store.load(deadline: deadline) })
            case .renew(let seen, let replacingGone, let deadline):
                return .renewed(
                    await outcome { () async throws(DCSError) in
                        try await store.renewLeader(seen, replacingGone: replacingGone, deadline: deadline)
                    }
                )
            case .acquire(let deadline):
                return .acquired(
                    await outcome { () async throws(DCSError) in try await store.acquireLeader(deadline: deadline) })
            case .release(let status, let deadline):
                let text = status.map { JSON.text($0, .compact) }
                return .released(
                    await outcome { () async throws(DCSError) in
                        try await store.releaseLeader(status: text, deadline: deadline)
                    })
            case .write(let key, let value, let condition, let purpose, let deadline):
                return .wrote(
                    purpose,
                    await outcome { () async throws(DCSError) in
                        try await store.write(key, value, if: condition, deadline: deadline)
                    })
            case .delete(let key, let condition, let purpose, let deadline):
                return .wrote(
                    purpose,
                    await outcome { () async throws(DCSError) in
                        try await store.delete(key, if: condition, deadline: deadline)
                    })
            case .touch(let value, let seen, let deadline):
                return .touched(
                    await outcome { () async throws(DCSError) in
                        try await store.touchMember(value, seen: seen, deadline: deadline)
                    })
            case .adoptTimings(let timings):
                await store.adopt(ttl: timings.ttl, loopWait: timings.loopWait, retryTimeout: timings.retryTimeout)
                return nil
            default: return nil
            }
        }
    }

    private func askNode(_ effect: CycleEffect) {
        let postgreSQL = world.postgreSQL
        Task {
            switch effect {
            case .observe(let deadline):
                // Neither waits for the other: the pulse tells of a server whose observation takes long.
                Task { feed(.felt(await postgreSQL.pulse())) }
                feed(.observed(await postgreSQL.observe(deadline: deadline)))
                feed(.felt(await postgreSQL.pulse()))
            case .askPeers(let members, let purpose, let deadline):
                feed(.peersAnswered(purpose, await world.peers.statuses(of: members, deadline: deadline)))
            case .compare(let source, let deadline):
                feed(
                    .compared(
                        await outcome { () async throws(PostgreSQLError) in
                            try await postgreSQL.compareTimelines(with: source, deadline: deadline)
                        }))
            case .applySlots(let actions, let deadline): await postgreSQL.apply(actions, deadline: deadline)
            case .checkpoint:
                feed(
                    .checkpointed(
                        await outcome { () async throws(PostgreSQLError) in
                            try await postgreSQL.checkpoint(timeout: .seconds(3600))
                        }))
            case .readHistory(let timeline):
                let history = await postgreSQL.timelineHistory(timeline)
                feed(.historyRead(timeline, history?.lines ?? [], writtenAt: history?.writtenAt ?? ""))
            case .adoptConfiguration(let document):
                feed(
                    .configurationAdopted(
                        await outcome { () async throws(PostgreSQLError) in
                            try await postgreSQL.adopt(configuration: document)
                        }))
            case .cacheConfiguration(let document): await world.cache.store(document)
            case .retryReceipt(let instant, let plan):
                await world.clock.sleep(until: instant)
                feed(.receiptRetry(plan: plan))
            default: break
            }
        }
    }

    private func log(_ level: CycleEffect.LogLevel, _ text: String) {
        switch level {
        case .debug: logger.debug("\(text)")
        case .info: logger.info("\(text)")
        case .warning: logger.warning("\(text)")
        case .error: logger.error("\(text)")
        case .critical: logger.critical("\(text)")
        }
    }
}

/// The result of a call with a typed error: `Result(catching:)` for what waits.
private func outcome<Value: Sendable, Failure: Error>(
    _ call: () async throws(Failure) -> Value
) async -> Result<Value, Failure> {
    do throws(Failure) {
        return .success(try await call())
    } catch {
        return .failure(error)
    }
}
