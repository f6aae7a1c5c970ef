public import ClusterModel
import JSON
import Logging
public import Ports
import Posix

/// The session: one lease, and the two keys that hang on it (dcs.md §5.4).
extension EtcdStore {
    public func acquireLeader(deadline: BootInstant) async throws(DCSError) -> LeaderClaim {
        try await withLease(deadline) { (lease) async throws(EtcdError) in
            let body = EtcdMessages.transaction(
                [EtcdCompare.absent(self.keys.leader)],
                then: [EtcdOperation.put(self.keys.leader, self.name, lease: lease.id)],
                else: [EtcdOperation.get(self.keys.leader)])
            let reply = try await self.transaction(body, deadline).value
            // It is also ours where an attempt that seemed to fail had put it.
            let isOurs = reply.found?.value == self.name && reply.found?.lease == lease.id
            return reply.succeeded || isOurs ? self.claim(lease) : .refused
        }
    }

    public func renewLeader(_ seen: LeaderRecord?, replacingGone: Bool, deadline: BootInstant)
        async throws(DCSError) -> LeaderClaim
    {
        try await withLease(deadline) { (lease) async throws(EtcdError) in
            if let seen, seen.name == self.name, seen.session == lease.id { return self.claim(lease) }
            let put = EtcdOperation.put(self.keys.leader, self.name, lease: lease.id)
            let ifGone = EtcdMessages.transaction([EtcdCompare.absent(self.keys.leader)], then: [put])
            let body = EtcdMessages.transaction(
                [EtcdCompare.value(self.keys.leader, is: self.name)], then: [put],
                else: replacingGone ? [EtcdOperation.transaction(ifGone)] : [])
            let reply = try await self.transaction(body, deadline).value
            return reply.succeeded || reply.nestedSucceeded ? self.claim(lease) : .refused
        }
    }

    public func releaseLeader(deadline: BootInstant) async throws(DCSError) -> Bool {
        // By the session, too: what a daemon sent before it was killed must not take the key from the next one.
        let body = EtcdMessages.transaction(
            await compares(keys.leader, .leading), then: [EtcdOperation.delete(keys.leader)],
            else: [EtcdOperation.get(keys.leader)])
        do throws(EtcdError) {
            let answer = try await transaction(body, deadline)
            leaderLease = nil
            return answer.value.succeeded || answer.isRepeated && answer.value.found == nil
        } catch {
            throw DCSError(error)
        }
    }

    public func touchMember(_ value: JSONObject, seen: Member?, deadline: BootInstant) async throws(DCSError) {
        try await withLease(deadline, provenWithin: loopWait / 2) { (lease) async throws(EtcdError) in
            var known = seen
            if let own = self.ownMember, own.revision > (seen?.revision ?? 0), seen != nil { known = own }
            if let known, known.session == lease.id, JSONValue.object(value).deepEquals(.object(known.data)) { return }
            var revision = known?.revision
            // Refused means that what was seen is old; the key bears our name, so what is there now is replaced.
            for _ in 0..<2 {
                let text = JSON.text(value, .compact)
                let body = EtcdMessages.transaction(
                    [EtcdCompare.asSeen(self.keys.member, revision)],
                    then: [EtcdOperation.put(self.keys.member, text, lease: lease.id)],
                    else: [EtcdOperation.get(self.keys.member)])
                let reply = try await self.transaction(body, deadline).value
                if reply.succeeded {
                    self.ownMember = Member(
                        name: self.name, session: lease.id, revision: reply.revision, data: value)
                    return
                }
                if let found = reply.found, found.value == text, found.lease == lease.id { return }
                revision = reply.found?.revision
            }
            throw .malformed("\(self.keys.member) changes all the time: does another node bear the name \(self.name)?")
        }
    }

    // MARK: The lease

    private func claim(_ lease: Lease) -> LeaderClaim {
        leaderLease = lease.id
        return .held(since: lease.provenAt, ttl: lease.ttl, session: lease.id)
    }

    /// Does `body` under a lease that etcd has just confirmed, or did within `age`; once more with a new lease where
    /// etcd finds that it is gone after all.
    func withLease<Value: Sendable>(
        _ deadline: BootInstant, provenWithin age: Duration = .zero,
        _ body: (Lease) async throws(EtcdError) -> Value
    ) async throws(DCSError) -> Value {
        do throws(EtcdError) {
            let first = try await prolongedLease(deadline, age)
            do throws(EtcdError) {
                return try await body(first)
            } catch {
                guard error.isLeaseNotFound else { throw error }
                if lease?.id == first.id { lease = nil }
                return try await body(try await prolongedLease(deadline, .zero))
            }
        } catch {
            throw DCSError(error)
        }
    }

    private func prolongedLease(_ deadline: BootInstant, _ age: Duration) async throws(EtcdError) -> Lease {
        if let lease {
            if BootClock.now() - lease.provenAt < age { return lease }
            if let kept = try await keptAlive(lease, deadline) { return kept }
            logger.warning("the etcd lease \(lease.id) has expired")
            if self.lease?.id == lease.id { self.lease = nil }
        }
        let requested = ttl
        let answer = try await transport.call(
            "/lease/grant", EtcdMessages.leaseGrant(ttl: requested), deadline: deadline)
        guard let reply = EtcdLeaseReply(answer.value), reply.ttl > 0 else {
            throw .malformed("the answer to a lease's grant has no lease")
        }
        // Another call may have opened a session meanwhile; ours is then left to expire.
        if let lease { return lease }
        let granted = Lease(
            id: reply.id, requestedTTL: requested, ttl: min(requested, .seconds(reply.ttl)), provenAt: answer.sentAt)
        if requested == ttl { lease = granted }
        return granted
    }

    /// Nil where the lease is gone: etcd then answers without a TTL.
    private func keptAlive(_ held: Lease, _ deadline: BootInstant) async throws(EtcdError) -> Lease? {
        let answer = try await transport.call(
            "/lease/keepalive", EtcdMessages.leaseKeepalive(held.id), deadline: deadline)
        guard let reply = EtcdLeaseReply(answer.value) else {
            throw .malformed("the answer to a lease's keep-alive names no lease")
        }
        if reply.ttl <= 0 { return nil }
        var kept = held
        kept.ttl = min(held.requestedTTL, .seconds(reply.ttl))
        kept.provenAt = answer.sentAt
        if let lease, lease.id == kept.id {
            kept.provenAt = max(kept.provenAt, lease.provenAt)
            self.lease = kept
        }
        return kept
    }
}
