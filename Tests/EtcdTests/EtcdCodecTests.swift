import ClusterModel
import HTTPClient
import JSON
import Testing

@testable import Etcd

@Suite struct EtcdCodecTests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"), ("\u{fb}\u{ff}é", "w7vDv8Op"),
    ])
    func base64(_ plain: String, _ encoded: String) {
        #expect(Base64.encode(plain) == encoded)
        #expect(Base64.decode(encoded) == Array(plain.utf8))
    }

    @Test func base64OfEveryByte() {
        let bytes = (0...255).map { UInt8($0) }
        for length in 250...256 {
            #expect(Base64.decode(Base64.encode(bytes.prefix(length))) == Array(bytes.prefix(length)))
        }
    }

    @Test(arguments: ["Z", "Zg=", "Zg", "Zm9v!m9v", "====", "Zm=v"])
    func notBase64(_ text: String) { #expect(Base64.decode(text) == nil) }

    @Test(arguments: [
        ("service", "batman", "/service/batman/"), ("/service/", "batman", "/service/batman/"),
        ("a//b", "/c", "/a/b/c/"), ("", "c", "/c/"),
    ])
    func prefixes(_ namespace: String, _ scope: String, _ prefix: String) {
        let keys = EtcdKeys(namespace: namespace, scope: scope, name: "n1")
        #expect(keys.prefix == prefix)
        #expect(keys.leaf(prefix + "members/n2") == "members/n2")
        #expect(keys.leaf("/other/leader") == nil)
    }

    @Test(arguments: [("/service/t/", "/service/t0"), ("a", "b")])
    func endOfPrefix(_ prefix: String, _ end: String) {
        #expect(EtcdKeys.end(ofPrefix: prefix) == Array(end.utf8))
    }

    @Test func bodies() {
        func text(_ body: JSONObject) -> String { JSON.text(body, .compact) }
        #expect(
            text(EtcdMessages.range(prefix: "/s/t/")) == #"{"key":"L3MvdC8=","range_end":"L3MvdDA="}"#)
        #expect(text(EtcdMessages.leaseGrant(ttl: .seconds(30))) == #"{"TTL":30}"#)
        let create = EtcdMessages.transaction(
            [EtcdCompare.absent("k")], then: [EtcdOperation.put("k", "v", lease: "77")], else: [EtcdOperation.get("k")])
        #expect(
            text(create)
                == #"{"compare":[{"target":"CREATE","create_revision":"0","key":"aw=="}],"#
                + #""success":[{"request_put":{"key":"aw==","value":"dg==","lease":"77"}}],"#
                + #""failure":[{"request_range":{"key":"aw=="}}]}"#)
        #expect(
            text(EtcdMessages.watch(prefix: "a", from: 9))
                == #"{"create_request":{"key":"YQ==","range_end":"Yg==","start_revision":"9","progress_notify":true}}"#)
    }

    private func object(_ text: String) throws -> JSONObject { try #require(try JSON.parse(text).object) }

    @Test func rangeReply() throws {
        let reply = try #require(
            EtcdRange(
                try object(
                    #"{"header":{"cluster_id":"15118495548433857066","revision":"5","raft_term":"2"},"kvs":["#
                        + #"{"key":"aw==","mod_revision":"2","value":"dg==","lease":"41"},"#
                        + #"{"key":"azI=","mod_revision":"3"}]}"#)))
        #expect(reply.header == StoreHeader(clusterID: "15118495548433857066", raftTerm: 2, revision: 5))
        #expect(reply.pairs.map(\.key) == ["k", "k2"])
        #expect(reply.pairs.map(\.value) == ["v", ""])
        #expect(reply.pairs.map(\.lease) == ["41", ""])
    }

    @Test func leaseReplies() throws {
        let granted = EtcdLeaseReply(try object(#"{"ID":"41","TTL":"30"}"#))
        #expect(granted?.id == "41" && granted?.ttl == 30)
        let gone = EtcdLeaseReply(try object(#"{"result":{"header":{},"ID":"41"}}"#))
        #expect(gone?.ttl == 0)
    }

    @Test func watchReplies() throws {
        func content(_ rest: String) throws -> EtcdWatchReply.Content? {
            EtcdWatchReply(try object(#"{"result":{"header":{"revision":"9","raft_term":"2"}\#(rest)}}"#))?.content
        }
        guard case .created? = try content(#","created":true"#) else { return #expect(Bool(false)) }
        guard case .progress(9)? = try content("") else { return #expect(Bool(false)) }
        guard case .compacted(3)? = try content(#","canceled":true,"compact_revision":"3""#) else {
            return #expect(Bool(false))
        }
        guard case .cancelled("why")? = try content(#","canceled":true,"cancel_reason":"why""#) else {
            return #expect(Bool(false))
        }
        let events =
            #","events":[{"kv":{"key":"aw==","mod_revision":"4","value":"dg=="}},"#
            + #"{"type":"DELETE","kv":{"key":"aw==","mod_revision":"5"}}]"#
        guard case .events(let list)? = try content(events) else { return #expect(Bool(false)) }
        #expect(list.map(\.value) == ["v", nil])
        #expect(list.map(\.revision) == [4, 5])
    }

    @Test(arguments: [
        (#"{"error":"etcdserver: requested lease not found","code":5}"#, GatewayError.Kind.leaseNotFound),
        (#"{"error":"etcdserver: user name is empty","code":3}"#, .userEmpty),
        (#"{"Error":"etcdserver: invalid auth token","Code":16}"#, .invalidAuthToken),
        (#"{"error":"token too old","code":16}"#, .invalidAuthToken),
        (#"{"error":"etcdserver: revision of auth store is old","code":3}"#, .authOldRevision),
        (#"{"error":"etcdserver: permission denied","code":7}"#, .permissionDenied),
        (#"{"error":"etcdserver: authentication failed, invalid user ID or password","code":3}"#, .authFailed),
        (#"{"error":"etcdserver: authentication is not enabled","code":9}"#, .authNotEnabled),
        (#"{"error":"context deadline exceeded","code":2}"#, .deadlineExceeded),
        (#"{"error":"whatever","code":4}"#, .deadlineExceeded),
        (#"{"error":"whatever","code":9}"#, .failedPrecondition),
        (#"{"error":"etcdserver: no leader","code":14}"#, .unavailable),
        (#"{"error":"not a primary lessor","code":2}"#, .unavailable),
        (#"{"error":{"grpc_code":14,"http_code":503,"message":"transport is closing"}}"#, .unavailable),
        (#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#, .other),
    ])
    func errors(_ body: String, _ kind: GatewayError.Kind) throws {
        #expect(GatewayError(try object(body))?.kind == kind)
    }

    /// What etcd itself has refused every endpoint refuses; what nobody knows to be etcd's word is no word.
    @Test(arguments: [
        (#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#, true),
        (#"{"error":"etcdserver: requested lease not found","code":5}"#, true),
        (#"{"error":"etcdserver: permission denied","code":7}"#, true),
        (#"{"error":"grpc: received message larger than max (4194400 vs. 2097152)","code":8}"#, true),
        (#"{"error":"etcdserver: too many requests","code":8}"#, false),
        (#"{"error":"etcdserver: no leader","code":14}"#, false),
        (#"{"error":"etcdserver: not leader","code":9}"#, false),
        (#"{"error":"Not Found","message":"Not Found","code":5}"#, false),
        (#"{"error":"internal error","code":13}"#, false), (#"{"error":"unknown service","code":12}"#, false),
        (#"{"error":"RBAC: access denied","code":7}"#, false), (#"{"error":"forbidden","code":403}"#, false),
        (#"{"message":"who are you?","code":16}"#, false), (#"{"error":"etcdserver","code":3}"#, false),
    ])
    func whoseWordIsFinal(_ body: String, _ isFinal: Bool) throws {
        #expect(EtcdError.gateway(try #require(GatewayError(try object(body)))).isFinal == isFinal)
    }

    /// Numbers that no store counts up to, and parts that cannot be read: no answer, rather than one without them.
    @Test(arguments: [
        #"{"header":{"cluster_id":"1","revision":"9223372036854775807"}}"#,
        #"{"header":{"cluster_id":"1","revision":"-1"}}"#,
        #"{"header":{"cluster_id":"1"},"kvs":[{"key":"aw==","mod_revision":"9223372036854775806"}]}"#,
        #"{"header":{"cluster_id":"1"},"kvs":[{"key":"aw==","value":"?"}]}"#, #"{"kvs":[]}"#,
    ])
    func noRange(_ body: String) throws { #expect(EtcdRange(try object(body)) == nil) }

    @Test func whatIsToBeDoneAboutAnError() {
        #expect(EtcdError.gateway(GatewayError(.invalidAuthToken, "")).recovery == .reauthenticate)
        #expect(EtcdError.gateway(GatewayError(.failedPrecondition, "")).recovery == .later)
        #expect(
            EtcdError.gateway(GatewayError(.leaseNotFound, "etcdserver: requested lease not found")).recovery == .none)
        #expect(EtcdError.transport(.timedOut(""), endpoint: "").recovery == .nextEndpoint)
        #expect(EtcdError.transport(.timedOut(""), endpoint: "").mayHaveBeenApplied)
        #expect(!EtcdError.transport(.notConnected(""), endpoint: "").mayHaveBeenApplied)
    }

    @Test(arguments: [
        ("3.4.23", "3.4.0", "/v3"), ("3.5.1", "3.5.0", "/v3"), ("3.3.27", "3.3.0", "/v3beta"),
        ("3.2.1", "3.2.0", "/v3alpha"), ("3.10.0", "3.10.0", "/v3"), ("3.4.0", "3.3.0", "/v3beta"),
    ])
    func versions(_ server: String, _ cluster: String, _ prefix: String) throws {
        let version = try EtcdVersion(["etcdserver": .string(server), "etcdcluster": .string(cluster)])
        #expect(version.prefix == prefix)
    }

    @Test(arguments: [("2.3.8", "2.3.0"), ("3.0.3", "3.0.0"), ("x", "y")])
    func versionsThatWeCannotUse(_ server: String, _ cluster: String) {
        #expect(throws: EtcdError.self) {
            try EtcdVersion(["etcdserver": .string(server), "etcdcluster": .string(cluster)])
        }
    }
}
