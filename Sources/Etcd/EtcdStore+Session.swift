public import ClusterModel
import JSON
import Logging
public import Ports
import Posix

/// The session: one lease, and the two keys that hang on it (dcs.md §5.4).
extension EtcdStore {
    public func acquireLeader(deadline: BootInstant) async throws(DCSError) -> LeaderClaim {
        if await isHeldBack(withValidLease: false) { return .refused }
        return try await withLease(deadline) { (lease) async throws(EtcdError) in
            let body = EtcdMessages.transaction(
                [EtcdCompare.absent(self.keys.leader)],
                then: [EtcdOperation.put(self.keys.leader, self.name, lease: lease.id)],
                else: [EtcdOperation.get(self.keys.leader)])
            let answer = try await self.claimed(body, lease, deadline)
            // It is also ours where an attempt that seemed to fail had put it.
            let isOurs = answer.value.succeeded || self.isOurs(answer.value.found, lease)
            return isOurs ? try self.claim(lease, confirmedIn: answer.term) : .refused
        }
    }

    public func renewLeader(_ seen: LeaderRecord?, replacingGone: Bool, deadline: BootInstant)
        async throws(DCSError) -> LeaderClaim
    {
        let isRefreshed = lease != nil && lease?.provenAt == refreshedAt
        refreshedAt = nil
        // Who may put again what is gone has a lease that is valid.
        if await isHeldBack(withValidLease: replacingGone) { return .refused }
        return try await withLease(deadline, provenWithin: isRefreshed ? loopWait / 10 : .zero) {
            (lease) async throws(EtcdError) in
            if let seen, seen.name == self.name {
                // What was seen may be of long ago, where this daemon stood still since.
                if seen.session == lease.id {
                    let now = try await self.leaderKey(deadline)
                    if self.isOurs(now.value.pairs.first, lease) { return try self.claim(lease, confirmedIn: now.term) }
                }
                // A claim of long ago that was taken after this node had gone on: no race was won with it.
                if self.retired.contains(seen.session) { return .refused }
            }
            let put = EtcdOperation.put(self.keys.leader, self.name, lease: lease.id)
            let ifGone = EtcdMessages.transaction([EtcdCompare.absent(self.keys.leader)], then: [put])
            let body = EtcdMessages.transaction(
                [EtcdCompare.value(self.keys.leader, is: self.name)], then: [put],
                else: replacingGone ? [EtcdOperation.transaction(ifGone)] : [])
            let answer = try await self.claimed(body, lease, deadline)
            let isOurs = answer.value.succeeded || answer.value.nestedSucceeded
            return isOurs ? try self.claim(lease, confirmedIn: answer.term) : .refused
        }
    }

    /// The store was set back and has grown since: who led before that may do so still.
    private func isHeldBack(withValidLease hasValidLease: Bool) async -> Bool {
        guard let wait = await transport.holdsBackClaims(withValidLease: hasValidLease) else { return false }
        logger.warning("etcd was set back: nobody takes the leader key for \(wait.inSeconds) s")
        return true
    }

    private func isOurs(_ key: EtcdKeyValue?, _ lease: Lease) -> Bool { key?.value == name && key?.lease == lease.id }

    private func leaderKey(_ deadline: BootInstant) async throws(EtcdError) -> Answer<EtcdRange> {
        try await transport.call(EtcdTransport.rangePath, EtcdMessages.key(keys.leader), deadline: deadline) {
            EtcdRange($0)
        }
    }

    public func releaseLeader(status: JSONObject?, deadline: BootInstant) async throws(DCSError) -> Bool {
        // By the session, too: what a daemon sent before it was killed must not take the key from the next one.
        let body = EtcdMessages.transaction(
            await compares(keys.leader, .leading),
            then: (status.map { [EtcdOperation.put(keys.prefix + DCSKey.status.rawValue, DCSValue.object($0).stored)] }
                ?? [])
                + [EtcdOperation.delete(keys.leader)],
            else: [EtcdOperation.get(keys.leader)])
        do throws(EtcdError) {
            let answer = try await transaction(body, deadline)
            leaderLease = nil
            retireDoubtful()
            return answer.value.succeeded || answer.isRepeated && answer.value.found == nil
        } catch {
            // It may be taken yet, when this node leads again: the key is put under another session before that, and a
            // late release, which names this one, finds nothing of its own.
            if !error.isRefusal, let leaderLease, lease?.id == leaderLease { lease = nil }
            throw DCSError(error)
        }
    }

    public func touchMember(_ value: JSONObject, seen: Member?, prolonging: Bool, deadline: BootInstant)
        async throws(DCSError)
    {
        // A lease that is not to be prolonged is good at any age: etcd itself says where it has ended.
        try await putMember(value, seen: seen, provenWithin: prolonging ? loopWait / 2 : ttl * 1000, deadline)
        await endRetired(deadline)
    }

    private func putMember(_ value: JSONObject, seen: Member?, provenWithin age: Duration, _ deadline: BootInstant)
        async throws(DCSError)
    {
        try await withLease(deadline, provenWithin: age) { (lease) async throws(EtcdError) in
            var known = seen
            if let own = self.ownMember, own.revision > (seen?.revision ?? 0), seen != nil { known = own }
            if let known, known.session == lease.id, JSONValue.object(value).deepEquals(.object(known.data)) { return }
            var revision = known?.revision
            // Refused means that what was seen is old. What is there now is replaced where it is ours; the name alone
            // would also be that of another node.
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
                if let found = reply.found {
                    if found.value == text, found.lease == lease.id { return }
                    if found.lease != lease.id, Self.isElsewhere(found.value, value) { break }
                }
                revision = reply.found?.revision
            }
            throw .unusable("\(self.keys.member) changes all the time: does another node bear the name \(self.name)?")
        }
    }

    /// A member key that tells of another node than ours does.
    private static func isElsewhere(_ theirs: String, _ ours: JSONObject) -> Bool {
        guard let theirs = (try? JSON.parse(theirs))?.object?["api_url"]?.string, let ours = ours["api_url"]?.string
        else { return false }
        return theirs != ours
    }

    // MARK: Late claims

    /// A transaction that claims the leader key: until it is answered nobody knows whether etcd has taken it, or will.
    private func claimed(_ body: JSONObject, _ lease: Lease, _ deadline: BootInstant) async throws(EtcdError)
        -> Answer<EtcdTransactionReply>
    {
        do throws(EtcdError) {
            let answer = try await transaction(body, deadline)
            // Of two attempts the first may still be on its way.
            if answer.isRepeated { doubtful.insert(lease.id) }
            return answer
        } catch {
            if !error.isRefusal { doubtful.insert(lease.id) }
            throw error
        }
    }

    /// We do not lead, or do not any more: a claim that is still on its way must not make us lead again, without a race
    /// and behind somebody who has led and gone since. It names its session, which ends.
    func retireDoubtful(_ suspects: Set<String>? = nil) {
        for id in doubtful where suspects?.contains(id) ?? true {
            if lease?.id == id { lease = nil }
            retired.append(id)
            doubtful.remove(id)
        }
        retired.removeFirst(max(0, retired.count - Self.maximumRetired))
    }

    /// More sessions than these have ended by themselves.
    private static let maximumRetired = 16

    /// The member key hangs on another session now. What cannot be ended here ends with its ttl, and stays known.
    private func endRetired(_ deadline: BootInstant) async {
        // The leader key may hang on it yet, and goes by a release alone, which knows of PostgreSQL.
        for id in retired where !ended.contains(id) && id != leaderLease {
            guard
                (try? await transport.call("/lease/revoke", EtcdMessages.leaseKeepalive(id), deadline: deadline)) != nil
            else { return }
            ended.insert(id)
        }
        ended.formIntersection(retired)
    }

    // MARK: The lease

    /// How often a lease is prolonged again because etcd's leader has changed on the way.
    private static let prolongationsMax = 3

    /// A lease is prolonged by etcd's leader alone, without asking the others: one that was cut off, or stood still,
    /// may do so after it was deposed, and nobody else knows of it. `term` is that of an answer which a quorum stood
    /// behind, and which was asked for afterwards: where it is the one of before as well, nobody else led in between.
    private func claim(_ lease: Lease, confirmedIn term: UInt64) throws(EtcdError) -> LeaderClaim {
        if let prolonged = lease.term, prolonged != term { throw .leaderChanged }
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
            var age = age
            var isReplaced = false
            for _ in 0..<Self.prolongationsMax {
                let held = try await prolongedLease(deadline, age)
                do throws(EtcdError) {
                    return try await body(held)
                } catch {
                    age = .zero
                    if error == .leaderChanged { continue }
                    guard error.isLeaseNotFound, !isReplaced else { throw error }
                    isReplaced = true
                    if lease?.id == held.id { lease = nil }
                }
            }
            throw .leaderChanged
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
            "/lease/grant", EtcdMessages.leaseGrant(ttl: requested), deadline: deadline
        ) { reply in EtcdLeaseReply(reply).flatMap { $0.ttl > 0 ? $0 : nil } }
        let reply = answer.value
        // Another call may have opened a session meanwhile; ours is then left to expire.
        if let lease { return lease }
        let granted = Lease(
            id: reply.id, requestedTTL: requested, ttl: min(requested, .seconds(reply.ttl)), provenAt: answer.sentAt)
        if requested == ttl { lease = granted }
        return granted
    }

    /// Nil where the lease is gone: etcd then answers without a TTL.
    func keptAlive(_ held: Lease, _ deadline: BootInstant) async throws(EtcdError) -> Lease? {
        let answer = try await transport.call(
            "/lease/keepalive", EtcdMessages.leaseKeepalive(held.id), deadline: deadline
        ) { reply in EtcdLeaseReply(reply).flatMap { $0.id == held.id ? $0 : nil } }
        let reply = answer.value
        if reply.ttl <= 0 { return nil }
        var kept = held
        kept.ttl = min(held.requestedTTL, .seconds(reply.ttl))
        kept.provenAt = answer.sentAt
        // A member that learnt of a new term while it was asked may have passed the request to the leader of the old.
        kept.seen = Lease.Seen(revision: reply.revision, life: answer.life)
        kept.term = answer.term == answer.termBefore ? answer.term : .max
        if lease?.id == kept.id { lease = kept }
        return kept
    }
}
