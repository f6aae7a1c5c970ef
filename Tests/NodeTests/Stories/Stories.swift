import ClusterModel
import HighAvailability
import Ports

@testable import Node

/// The stories that are told: each a situation that somebody will ask about at night.
enum Stories {
    static let all: [Story] = [
        bootstrap(), renewal(), crash(), crashWithoutEnd(), takeover(), behindAnother(), switchover(), notReceived(),
        storeIsSilent(), rewound(), sigterm(), paused(), restart(), lostKey(), hung(),
    ]

    private static func leader(_ name: String, guarded: Bool = false) -> Story {
        var story = Story(name, guarded: guarded)
        story.world.runs(asPrimary: true)
        story.world.member("n1", role: "primary")
        story.world.member("n2")
        story.world.member("n3")
        story.world.put("leader", "n1", session: "s")
        story.happens(.timer)
        story.pass(.seconds(11))
        return story
    }

    private static func standby(_ name: String) -> Story {
        var story = Story(name)
        story.world.runs(asPrimary: false)
        story.world.member("n2", role: "primary")
        story.world.member("n3")
        story.world.put("leader", "n2", session: "n2")
        story.happens(.timer)
        return story
    }

    private static func bootstrap() -> Story {
        var story = Story("bootstrap")
        story.world.keys = [:]
        story.world.local.dataDirectory = .empty
        story.world.stops(.shutDown)
        story.world.local.control = nil
        story.world.local.systemIdentifier = nil
        story.meanwhile("nobody has made the cluster") { _ in }
        story.world.hangs = ["bootstrap"]
        story.happens(.timer)
        story.world.local.systemIdentifier = "7000000000000000001"
        story.ends("bootstrap")
        story.pass(.seconds(1))
        return story
    }

    private static func renewal() -> Story { leader("renewal", guarded: true) }

    private static func crash() -> Story {
        var story = leader("crash")
        story.meanwhile("the postmaster is killed") { $0.stops(.inProduction) }
        story.happens(.postmasterExited(42))
        return story
    }

    private static func crashWithoutEnd() -> Story {
        var story = leader("crash without end")
        story.meanwhile("the postmaster is killed, and does not come up again") {
            $0.stops(.inProduction)
            $0.failures = ["starting primary after failure": "it ended while it started"]
        }
        story.happens(.postmasterExited(42))
        story.pass(.seconds(12))
        return story
    }

    private static func hung() -> Story {
        var story = leader("hung")
        story.meanwhile("all processes of PostgreSQL are stopped") { $0.silentSince = $0.now }
        story.pass(.seconds(25))
        return story
    }

    private static func takeover() -> Story {
        var story = standby("takeover")
        story.meanwhile("n2 is lost, n3 is behind") {
            $0.peers["n2"] = .unreachable("it does not answer")
            $0.member("n3", position: 0x4000000)
            $0.remove("leader")
        }
        story.happens(.storeChanged(.changed(leaf: "leader", value: nil, revision: story.world.revision)))
        story.pass(.seconds(1))
        return story
    }

    private static func behindAnother() -> Story {
        var story = standby("behind another")
        story.meanwhile("n2 is lost, n3 is ahead") {
            $0.peers["n2"] = .unreachable("it does not answer")
            $0.member("n3", position: 0x6000000)
            $0.remove("leader")
        }
        story.happens(.storeChanged(.changed(leaf: "leader", value: nil, revision: story.world.revision)))
        return story
    }

    private static func request(_ story: inout Story) {
        story.meanwhile("a switchover to n2 is asked for") {
            $0.put("failover", #"{"leader":"n1","member":"n2"}"#)
        }
        let value = story.world.keys["failover"].map { DCSValue.text($0.value) }
        story.happens(.storeChanged(.changed(leaf: "failover", value: value, revision: story.world.revision)))
    }

    private static func switchover() -> Story {
        var story = leader("switchover")
        request(&story)
        story.meanwhile("n2 takes over") {
            $0.member("n2", role: "primary", timeline: 2)
            $0.put("leader", "n2", session: "n2")
            $0.put("history", "[[1,83886080,\"no recovery target specified\",\"2027-01-15T08:00:00+00:00\",\"n2\"]]")
            $0.divergence = .success(
                DivergenceFacts(
                    localTimeline: 1, localPosition: 0x5000000, localInRecovery: false, checkpointEnd: 0x5000078,
                    sourceTimeline: 2, sourceInRecovery: false,
                    sourceHistory: [DivergenceFacts.SwitchPoint(timeline: 1, position: 0x5000078)]))
        }
        story.happens(.storeChanged(.changed(leaf: "leader", value: .text("n2"), revision: story.world.revision)))
        return story
    }

    private static func notReceived() -> Story {
        var story = leader("switchover that nobody receives")
        story.world.shutdown.required = 0x5000100
        request(&story)
        return story
    }

    private static func storeIsSilent() -> Story {
        var story = leader("the store is silent")
        story.meanwhile("etcd does not answer any more") { $0.storeIsSilent = "no endpoint answers" }
        story.pass(.seconds(40))
        story.meanwhile("etcd answers again, n2 leads") {
            $0.storeIsSilent = nil
            $0.put("leader", "n2", session: "n2")
        }
        story.pass(.seconds(11))
        return story
    }

    private static func rewound() -> Story {
        var story = Story("rewound")
        story.world.member("n2", role: "primary", timeline: 2)
        story.world.put("leader", "n2", session: "n2")
        story.world.stops(.shutDown)
        story.world.divergence = .success(
            DivergenceFacts(
                localTimeline: 1, localPosition: 0x5000200, localInRecovery: false, sourceTimeline: 2,
                sourceInRecovery: false,
                sourceHistory: [DivergenceFacts.SwitchPoint(timeline: 1, position: 0x5000078)]))
        story.say("this node was primary, and wrote more than the new leader has")
        story.happens(.timer)
        return story
    }

    private static func sigterm() -> Story {
        var story = leader("SIGTERM", guarded: true)
        story.happens(.shutdownRequested)
        return story
    }

    private static func paused() -> Story {
        var story = leader("paused")
        story.meanwhile("the cluster is paused, and PostgreSQL stopped by hand") {
            $0.put("config", #"{"ttl":30,"loop_wait":10,"retry_timeout":10,"pause":true}"#)
        }
        story.pass(.seconds(11))
        story.world.stops(.shutDown)
        story.happens(.postmasterExited(42))
        return story
    }

    private static let restartNow = try? RestartRequest(
        body: JSONObject(), DynamicConfiguration(), wallTime: 1_800_000_000_000_000_000)

    private static func restart() -> Story {
        var story = leader("restart")
        if let restartNow { story.happens(.commanded(1, .restart(restartNow))) }
        return story
    }

    private static func lostKey() -> Story {
        var story = leader("another has the key", guarded: true)
        story.meanwhile("n2 has the leader key") { $0.put("leader", "n2", session: "n2") }
        story.pass(.seconds(11))
        return story
    }
}
