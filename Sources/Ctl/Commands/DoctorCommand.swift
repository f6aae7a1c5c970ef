import ArgumentParser
import ClusterAccess
import ClusterModel
import Configuration
import HTTPClient
import JSON
import Ports

/// `doctor`: what commonly goes wrong, looked for in a configuration and in the cluster that it leads to.
struct DoctorCommand: CtlCommand {
    static var configuration: CommandConfiguration {
        .of(
            "doctor", "Looks for what commonly goes wrong, and says what to do about it.",
            "Looks at the cluster, at its store, at the certificates that the configuration names and, where it is a "
                + "daemon's, at all of it. The exit code is 1 where something is wrong now.",
            examples: ["-c /etc/patroni.yml doctor", "doctor batman --json"])
    }

    @OptionGroup var group: GroupOption

    @Flag(name: .customLong("json"), help: "One JSON object a line, for pipes.")
    var isJSON = false

    @Argument(help: "The cluster; the one of the configuration where none is named.")
    var clusterName: String?

    func run(_ session: Session) async throws {
        let cluster = try Cluster(try session.clusterName(clusterName), group: group.number, session)
        let picture = try await cluster.load()
        var findings: [Finding] = []
        if let daemon = session.configuration.daemon {
            findings += ConfigurationRules.findings(daemon, picture.view.config?.data)
        }
        let tree = session.configuration.tree
        findings += try await offPool { CertificateRules.findings(tree) }
        findings += ClusterRules.findings(picture.view, try? await cluster.condition())
        findings += await members(picture, session)
        findings.sort { $0.severity > $1.severity }
        session.terminal.write(isJSON ? Self.json(findings) : Self.text(findings, picture.name))
        if findings.contains(where: { $0.severity == .problem }) { throw CtlError.ended(1) }
    }

    private static let patience = Duration.seconds(5)

    /// All are asked at once.
    private func members(_ picture: ClusterPicture, _ session: Session) async -> [Finding] {
        guard let client = try? MemberClient(session) else { return [] }
        let loopWait = picture.settings.timings.loopWait
        let found = await withTaskGroup(of: (String, [Finding]).self) { group in
            for member in picture.members(.any) {
                group.addTask {
                    let report = await Self.report(member, client, session)
                    return (member.name, MemberRules.findings(member, report, loopWait: loopWait))
                }
            }
            return await group.reduce(into: [String: [Finding]]()) { $0[$1.0] = $1.1 }
        }
        return found.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    private static func report(_ member: Member, _ client: MemberClient, _ session: Session) async -> MemberReport {
        do throws(HTTPClientError) {
            let answer = try await client.send("GET", "patroni", to: member, within: patience)
            guard let status = answer.json?.object else { return .silence("what it says is not JSON") }
            return .answer(status, wallTime: session.wallTime)
        } catch {
            return .silence(error.description)
        }
    }

    private static func text(_ findings: [Finding], _ name: String) -> String {
        if findings.isEmpty { return "\(name): nothing found\n" }
        return findings.map { "\($0.severity.word): \($0.what)\n    \($0.remedy)\n" }.joined()
    }

    private static func json(_ findings: [Finding]) -> String {
        findings.map { finding in
            let object: JSONObject = [
                "severity": .string(finding.severity.word.lowercased()), "what": .string(finding.what),
                "remedy": .string(finding.remedy),
            ]
            return PythonText.json(.object(object)) + "\n"
        }.joined()
    }
}
