import ClusterModel
import HighAvailability
import Logging
import Ports

extension NodeRunner {
    /// Starts an effect; its answer comes back as an event.
    func carryOut(_ effect: CycleEffect) {
        switch effect {
        case .store(let asked, let deadline):
            let store = world.store
            request { .store(await answer(of: store, to: asked, deadline)) }
        case .node(let request): carryOut(request)
        case .peers(let members, let purpose, let deadline):
            Task { feed(.peers(purpose, await world.peers.statuses(of: members, deadline: deadline))) }
        case .failsafe(let ping, let members, let sent, let deadline):
            Task { feed(.failsafe(sent: sent, await world.peers.failsafe(ping, to: members, deadline: deadline))) }
        case .guardian(let order, let deadline): tellGuardian(order, deadline)
        case .local(let effect): carryOut(effect)
        }
    }

    private func carryOut(_ effect: LocalEffect) {
        switch effect {
        case .setTimer(let instant): setTimer(instant)
        case .retryReceipt(let instant, let plan):
            Task {
                await world.clock.sleep(until: instant)
                feed(.receiptRetry(plan: plan))
            }
        case .adoptTimings(let timings):
            let store = world.store
            request {
                await store.adopt(ttl: timings.ttl, loopWait: timings.loopWait, retryTimeout: timings.retryTimeout)
                return nil
            }
        case .cacheConfiguration(let document): Task { await world.cache.store(document) }
        case .reply(let id, let outcome): reply(id, outcome)
        case .replyFailsafe(let id, let answer): reply(id, answer)
        case .publish(let published): publish(published)
        case .log(let level, let text): log(level, text)
        case .exit(let code): exit(code)
        }
    }

    private func carryOut(_ request: NodeRequest) {
        let postgreSQL = world.postgreSQL
        switch request {
        case .observe(let since, let deadline): observe(since, deadline)
        case .compare(let source, let deadline):
            Task {
                let result = await outcome { () async throws(PostgreSQLError) in
                    try await postgreSQL.compareTimelines(with: source, deadline: deadline)
                }
                feed(.node(.compared(result)))
            }
        case .perform(let operation, let slots, let plan): perform(operation, slots, plan)
        case .breakOff(let deadline):
            performing?.cancel()
            Task { await postgreSQL.halt(deadline: deadline) }
        case .applySlots(let actions, let deadline): Task { await postgreSQL.apply(actions, deadline: deadline) }
        case .proveCopy(let postmaster): Task { await postgreSQL.proveCopy(of: postmaster) }
        case .checkpoint:
            Task {
                let result = await outcome { () async throws(PostgreSQLError) in
                    try await postgreSQL.checkpoint(timeout: .seconds(3600))
                }
                feed(.node(.checkpointed(result)))
            }
        case .readHistory(let timeline):
            Task {
                let history = await postgreSQL.timelineHistory(timeline)
                feed(.node(.historyRead(timeline, history?.lines ?? [], writtenAt: history?.writtenAt ?? "")))
            }
        case .adoptConfiguration(let document):
            Task {
                let result = await outcome { () async throws(PostgreSQLError) in
                    try await postgreSQL.adopt(configuration: document)
                }
                feed(.node(.configurationAdopted(result)))
            }
        case .nameSynchronous(let setting):
            Task {
                let result = await outcome { () async throws(PostgreSQLError) in
                    try await postgreSQL.nameSynchronous(setting)
                }
                feed(.node(.synchronousNamed(setting, result)))
            }
        }
    }

    /// Neither waits for the other: the pulse tells of a server whose observation takes long.
    private func observe(_ since: BootInstant, _ deadline: BootInstant) {
        let postgreSQL = world.postgreSQL
        Task {
            Task { feed(.node(.felt(await postgreSQL.pulse()))) }
            feed(.node(.observed(await look(since: since, until: deadline))))
            feed(.node(.felt(await postgreSQL.pulse())))
        }
    }

    /// What is seen of PostgreSQL, and of the watchdog under which it may lead.
    func look(since: BootInstant = BootInstant(nanoseconds: 0), until deadline: BootInstant) async -> PostgreSQLStatus {
        var status = await world.postgreSQL.observe(since: since, deadline: deadline)
        status.watchdogObstacle = world.watchdogObstacle()
        return status
    }

    private func perform(_ operation: PostgreSQLOperation, _ slots: [SlotAction], _ plan: Int) {
        performing = Task {
            if let refusal = await guardRefusal(operation) {
                return feed(.node(.performed(plan: plan, .failure(refusal))))
            }
            if !slots.isEmpty { await world.postgreSQL.apply(slots, deadline: world.clock.now() + .seconds(2)) }
            let result = await outcome { () async throws(PostgreSQLError) in
                try await world.postgreSQL.perform(operation)
            }
            feed(.node(.performed(plan: plan, result)))
        }
    }

    /// Why PostgreSQL must not become writable; nil where it may. A start waits too, and leaves it to the launcher to
    /// replace a guardian that does not answer.
    private func guardRefusal(_ operation: PostgreSQLOperation) async -> PostgreSQLError? {
        switch operation {
        case .promote:
            guard let error = await guarding?.value else { return nil }
            return .failed("the guardian has not acknowledged the lease: \(error)")
        case .startPrimary:
            guard let error = await guarding?.value, error.isOfWatchdog else { return nil }
            return .failed("\(error)")
        case .bootstrap, .finishBootstrap, .clone, .startStandby, .follow, .resumeReplay, .stop, .stopToRestart,
            .rewind, .recoverSingleUser, .setAsideDataDirectory, .copyLogicalSlots, .nameSynchronous, .prePromote,
            .restore, .archiveLastSegment:
            return nil
        }
    }

    private func tellGuardian(_ order: GuardOrder, _ deadline: BootInstant) {
        guard let guardian = world.guardian else { return }
        // In their order: one that is still on its way comes before, and never undoes what this one says.
        let earlier = guarding
        guarding = Task {
            _ = await earlier?.value
            let result = await outcome { () async throws(GuardianError) in
                try await guardian.tell(order, deadline: deadline)
            }
            feed(.guardian(order, result))
            switch result {
            case .failure(let error): return error
            case .success(let status):
                guard case .failed(let why, isRequired: true) = status.watchdog else { return nil }
                return GuardianError("the watchdog is required: \(why)", isOfWatchdog: true)
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

/// Asks the store, and gives its answer or why there is none.
private func answer(
    of store: any DistributedConfigurationStore, to request: StoreRequest, _ deadline: BootInstant
) async -> StoreAnswer {
    do throws(DCSError) {
        switch request {
        case .load: return .loaded(.success(try await store.load(deadline: deadline)))
        case .refresh(let view): return .loaded(.success(try await store.refresh(view, deadline: deadline)))
        case .renew(let seen, let replacingGone):
            let claim = try await store.renewLeader(seen, replacingGone: replacingGone, deadline: deadline)
            return .renewed(.success(claim))
        case .acquire: return .acquired(.success(try await store.acquireLeader(deadline: deadline)))
        case .release(let status):
            return .released(.success(try await store.releaseLeader(status: status, deadline: deadline)))
        case .write(let key, let value, let condition, let purpose):
            return .wrote(purpose, .success(try await store.write(key, value, if: condition, deadline: deadline)))
        case .delete(let key, let condition, let purpose):
            return .wrote(purpose, .success(try await store.delete(key, if: condition, deadline: deadline)))
        case .touch(let value, let seen, let prolonging):
            try await store.touchMember(value, seen: seen, prolonging: prolonging, deadline: deadline)
            return .touched(.success(()))
        }
    } catch {
        return request.failed(error)
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
