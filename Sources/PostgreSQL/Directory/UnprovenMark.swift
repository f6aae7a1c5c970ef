import Glibc
import Logging
import Posix

/// A command of the operator's brings a copy from wherever it likes: a backup of yesterday may be older than what this
/// member has acknowledged, and `/sync` names the member for that still. So such a copy is marked until it has streamed
/// everything from its leader (S2; `isCopyProven`). The mark is written before that of the copy goes, so that no server
/// is started without it. A base backup needs none: that of a member that `/sync` names is made of its leader.
///
/// An operator who puts an older directory in the place of a member's can make the file by hand.
extension DataDirectory {
    var unprovenMark: String { "\(path)/\(Self.unprovenName)" }

    /// Also where it cannot be looked at: then it is taken to be there.
    var isUnproven: Bool { (try? Files.look(unprovenMark)) != .missing }

    func markUnproven() throws(SystemError) {
        let text = """
            # Written by Matriarch: a command has restored this data directory, which is not known to have streamed
            # everything since. Until it has, the member has no voice by /sync. It goes by itself.

            """
        try Files.replace(unprovenMark, with: text.utf8, mode: 0o600, durably: true)
        giveToOwner(of: unprovenMark)
    }

    func removeUnprovenMark() throws(SystemError) { try removeDurably(unprovenMark) }

    /// What the copy that stands there is from now on; before the mark of the copy itself goes.
    func note(isUnproven: Bool) throws(SystemError) { isUnproven ? try markUnproven() : try removeUnprovenMark() }
}

extension Operator {
    /// The server of that pid has everything, so its directory does. Another server's may be another one.
    func proveCopy(of postmaster: Int32) {
        guard instance.postmaster()?.pid == postmaster else { return }
        do throws(SystemError) {
            try directory.removeUnprovenMark()
            log.info("the restored data directory has streamed everything: what /sync says of this member counts again")
        } catch {
            log.warning("cannot remove the mark of a restored copy: \(error)")
        }
    }
}
