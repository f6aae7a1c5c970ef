import ClusterModel
import Glibc
import Ports
import Posix

/// Writes the files that PostgreSQL reads (postgresql.md §11). Blocking. A file whose content stands already is not
/// touched: a restart after a crash then costs no fsync.
struct ConfigurationWriter: Sendable {
    let configuration: LocalPostgreSQLConfiguration
    /// Told in words what an operator should know of the files that were found.
    var notice: @Sendable (String) -> Void = { _ in }
    /// The text of a pg_hba.conf that the server has refused: what stands there stays.
    var refusedRules: String?

    private var directory: DataDirectory { DataDirectory(path: configuration.dataDirectory) }

    /// What the server is to be.
    enum Role: Sendable, Hashable {
        case primary
        case standby(of: Instance.Following)
        /// As the files have it.
        case unchanged
        /// What a custom bootstrap has made, until it accepts writes: nobody but ourselves is let in (postgresql.md
        /// §11, §17).
        case restored(LocalPostgreSQLConfiguration.CustomBootstrap)
    }

    /// Writes all of it for a server of `role`; whether anything changed that a reload would bring in. `amends`: the
    /// present postgresql.conf stays, but for what the role asks of it.
    @discardableResult
    func write(_ role: Role, parameters: ParameterMap, amends: Bool = false) throws(PostgreSQLError) -> Bool {
        do throws(SystemError) {
            try prepareDirectories(parameters)
            var changed: Bool
            if amends {
                changed = try amendMain(role, parameters["synchronous_standby_names"])
            } else {
                try keepBaseConfiguration()
                changed = try writeMain(parameters, recovery(role))
            }
            if parameters["hba_file"] == nil, let rules = rules(role) {
                if rules != refusedRules {
                    changed = try put(rules, configuration.hostBasedAuthenticationFile) || changed
                }
            } else {
                try copyHostBasedAuthentication(parameters)
            }
            if parameters["ident_file"] == nil, let lines = configuration.identityMap {
                changed = try put(ConfigurationText.lines(lines), configuration.identityFile) || changed
            } else if !Files.exists(configuration.identityFile) {
                _ = try put("", configuration.identityFile)
            }
            if case .restored(let method) = role, method.keepsRecovery { return changed }
            return try cleanAutomaticConfiguration() || changed
        } catch {
            throw .failed("cannot write PostgreSQL's configuration: \(error)")
        }
    }

    /// Sets or removes the files that make a server a standby when it starts.
    func writeSignals(standby: Bool) throws(PostgreSQLError) {
        do throws(SystemError) {
            for file in [directory.recoverySignal] + (standby ? [] : [directory.standbySignal]) {
                guard unlink(file) == 0 || errno == ENOENT else { throw SystemError(call: "unlink", subject: file) }
            }
            if standby { _ = try put("", directory.standbySignal) }
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
    }

    /// Sets the files that say how the server of a custom bootstrap recovers.
    func writeSignals(of method: LocalPostgreSQLConfiguration.CustomBootstrap) throws(PostgreSQLError) {
        guard let recovery = method.recovery else {
            if !method.keepsRecovery { try writeSignals(standby: false) }
            return
        }
        let isStandby = ["on", "true", "yes", "1"].contains(recovery["standby_mode"]?.lowercased() ?? "")
        try writeSignals(standby: isStandby)
        if isStandby { return }
        do throws(SystemError) {
            _ = try put("", directory.recoverySignal)
        } catch {
            throw .failed("cannot mark the data directory: \(error)")
        }
    }

    private func rules(_ role: Role) -> String? {
        guard case .restored = role else { return generatedRules }
        return ConfigurationText.lines(ConfigurationText.rulesOfOurs(configuration))
    }

    /// Writes the password file for a connection to `address`; without a password nothing is written.
    @discardableResult
    func writePasswords(_ credentials: LocalPostgreSQLConfiguration.Credentials, to address: HostPort)
        throws(PostgreSQLError) -> Bool
    {
        guard let text = passwords(credentials, to: address) else { return false }
        do throws(SystemError) {
            let path = configuration.passwordFile
            if let slash = path.lastIndex(of: "/") { try makeDirectory(String(path[..<slash])) }
            return try put(text, path, mode: 0o600)
        } catch {
            throw .failed("cannot write the password file: \(error)")
        }
    }

    func passwords(_ credentials: LocalPostgreSQLConfiguration.Credentials, to address: HostPort) -> String? {
        credentials.password.map { password in
            PasswordFile.render(host: address.host, port: address.port, user: credentials.userName, password: password)
        }
    }

    /// Appends the lines of `bootstrap.pg_hba` to what initdb has written.
    func appendBootstrapHostBasedAuthentication() throws(PostgreSQLError) {
        guard !configuration.bootstrapHostBasedAuthentication.isEmpty else { return }
        let path = directory.path + "/pg_hba.conf"
        do throws(SystemError) {
            let lines = configuration.bootstrapHostBasedAuthentication.map { $0 + "\n" }.joined()
            _ = try put(try Files.readText(path) + "\n" + lines, path)
        } catch {
            throw .failed("cannot extend pg_hba.conf: \(error)")
        }
    }

    /// Replaces a file unless it stands there already; whether it was replaced. The directory's owner becomes the
    /// file's where we are root: the server is not.
    func put(
        _ text: String, _ path: String, mode: UInt32? = nil, durably: Bool = false
    ) throws(SystemError) -> Bool {
        let inside = path.hasPrefix(directory.path + "/")
        let mode = mode ?? (inside ? directory.fileMode : 0o644)
        let bytes = Array(text.utf8)
        if let present = try? Files.read(path), present == bytes, Files.mode(path) == mode { return false }
        try Files.replace(path, with: bytes, mode: mode, durably: durably)
        giveToOwner(of: path)
        return true
    }

    /// The main file remembers the synchronous names, by which `/sync` says who may lead: that a crash of the machine
    /// brings back those of before is not covered.
    private func putMain(_ text: String) throws(SystemError) -> Bool {
        try put(text, configuration.configurationFile, durably: true)
    }

    func giveToOwner(of path: String) {
        guard geteuid() == 0, let slash = path.lastIndex(of: "/") else { return }
        var status = stat()
        guard stat(String(path[..<slash]), &status) == 0 else { return }
        chown(path, status.st_uid, status.st_gid)
    }

    private func makeDirectory(_ path: String) throws(SystemError) {
        if path.isEmpty || Files.exists(path) { return }
        try Files.makeDirectory(path)
        giveToOwner(of: path)
    }

    private func prepareDirectories(_ parameters: ParameterMap) throws(SystemError) {
        try makeDirectory(configuration.configurationDirectory)
        for entry in parameters["unix_socket_directories"]?.split(separator: ",") ?? [] {
            let path = entry.trimmed
            if path.hasPrefix("/") { try makeDirectory(path) }
        }
    }

    /// initdb writes into the data directory, also where the configuration stands elsewhere.
    private func copyHostBasedAuthentication(_ parameters: ParameterMap) throws(SystemError) {
        let path = configuration.hostBasedAuthenticationFile
        if Files.exists(path) || parameters["hba_file"] != nil { return }
        // One that we have generated is what the configuration once said, not what anybody says now; and a server with
        // rules that nobody has made lets the wrong people in, or nobody.
        guard let text = unGenerated([backup(of: path), directory.path + "/pg_hba.conf"]) else {
            return notice(
                "\(path) is missing and postgresql.pg_hba is not set: PostgreSQL does not start without the file")
        }
        _ = try put(text, path)
    }

    /// The first of `files` that is there and that nobody has generated.
    private func unGenerated(_ files: [String]) -> String? {
        files.lazy.compactMap { try? Files.readText($0) }.first { !ConfigurationText.isGenerated($0) }
    }

    /// The first time, what initdb or an administrator wrote becomes the base that ours includes. A file of ours never
    /// does: it would include itself, and hold what the configuration once said.
    private func keepBaseConfiguration() throws(SystemError) {
        let (main, base) = (configuration.configurationFile, configuration.baseConfigurationFile)
        guard customConfiguration == nil else { return }
        if Files.exists(base) { return try mendBase(try Files.readText(base), base) }
        let text = Files.exists(main) ? try Files.readText(main) : nil
        if let text, !ConfigurationText.isGenerated(text) {
            guard rename(main, base) == 0 else { throw SystemError(call: "rename", subject: main) }
            return try mendBase(text, base)
        }
        // A copy of another node brings that one's; where the configuration stands elsewhere, initdb's is in the data.
        if let kept = unGenerated([backup(of: base), directory.path + "/postgresql.conf"]) {
            _ = try put(kept, base)
            return try mendBase(kept, base)
        }
        notice("\(base) is missing: an empty one is made; what stood there beside our settings is not known")
        _ = try put("", base)
    }

    /// A base that includes itself, or what includes it, cannot be read by PostgreSQL; a generated one is no base.
    private func mendBase(_ text: String, _ base: String) throws(SystemError) {
        if ConfigurationText.isGenerated(text) {
            notice("\(base) is a generated file, which is no base: it is emptied")
            _ = try put("", base)
            return
        }
        let files = [configuration.configurationFile, base]
        let mended = ConfigurationText.withoutIncludes(of: files, in: text, of: configuration.configurationDirectory)
        if mended == text { return }
        notice("\(base) includes itself: the line is commented out")
        _ = try put(mended, base)
    }

    /// `custom_conf`, unless it names the very file that is to include it.
    private var customConfiguration: String? {
        guard let custom = configuration.customConfiguration else { return nil }
        let path = custom.hasPrefix("/") ? custom : "\(configuration.configurationDirectory)/\(custom)"
        if realPath(path) != realPath(configuration.configurationFile) { return custom }
        notice("custom_conf names \(path), which is generated: the base configuration is included in its place")
        return nil
    }

    private func writeMain(_ parameters: ParameterMap, _ recovery: ParameterMap) throws(SystemError) -> Bool {
        try putMain(mainText(parameters, recovery))
    }

    private func mainText(_ parameters: ParameterMap, _ recovery: ParameterMap) -> String {
        ConfigurationText.main(
            include: customConfiguration ?? lastComponent(configuration.baseConfigurationFile),
            parameters: parameters, hostBasedAuthenticationFile: configuration.hostBasedAuthenticationFile,
            identityFile: configuration.identityFile, recovery: recovery)
    }

    private func recovery(_ role: Role) -> ParameterMap {
        switch role {
        case .primary: return RecoveryParameters.configured(configuration)
        case .restored(let method):
            if let recovery = method.recovery { return RecoveryParameters.given(recovery) }
            return method.keepsRecovery ? ParameterMap() : RecoveryParameters.configured(configuration)
        case .standby(of: .known(let upstream)):
            return RecoveryParameters.forStandby(of: upstream, configuration, serverVersion: directory.version)
        case .standby(of: .unknown), .unchanged:
            let text = (try? Files.readText(configuration.configurationFile)) ?? ""
            let present = ConfigurationText.recovery(in: text)
            var result = RecoveryParameters.configured(configuration)
            for name in ["primary_conninfo", "primary_slot_name"] { result[name] = present[name] }
            return result
        }
    }

    /// A recovery parameter set by ALTER SYSTEM would win over ours.
    private func cleanAutomaticConfiguration() throws(SystemError) -> Bool {
        let path = directory.path + "/postgresql.auto.conf"
        guard Files.exists(path) else { return false }
        let text = try Files.readText(path)
        let cleaned = ConfigurationText.withoutRecovery(text)
        return cleaned == text ? false : try put(cleaned, path)
    }
}

// MARK: - Before and after

extension ConfigurationWriter {
    /// Changes in the present postgresql.conf whom a server of `role` follows and whom its commits wait for; whether
    /// anything changed.
    func amend(_ role: Role, names: String?) throws(PostgreSQLError) -> Bool {
        do throws(SystemError) {
            return try amendMain(role, names)
        } catch {
            throw .failed("cannot write PostgreSQL's configuration: \(error)")
        }
    }

    private func amendMain(_ role: Role, _ names: String?) throws(SystemError) -> Bool {
        var text = try Files.readText(configuration.configurationFile)
        let recovery = recovery(role)
        text = ConfigurationText.setting("synchronous_standby_names", to: names, in: text)
        for name in ["primary_conninfo", "primary_slot_name"] {
            text = ConfigurationText.setting(name, to: recovery[name], in: text)
        }
        return try putMain(text)
    }

    /// The new postgresql.conf beside the present one, to be looked at before it takes its place: where it stands. Nil
    /// where nothing would change, or where no file of ours is there yet.
    func writeCandidate(_ role: Role, parameters: ParameterMap) throws(PostgreSQLError) -> String? {
        let main = configuration.configurationFile
        guard let present = try? Files.readText(main), ConfigurationText.isGenerated(present) else { return nil }
        let text = mainText(parameters, recovery(role))
        if text == present { return nil }
        // In the same directory, because the names of the files that it includes are seen from there.
        let path = "\(configuration.configurationDirectory)/.matriarch-\(configuration.configurationBaseName).conf"
        do throws(SystemError) {
            _ = try put(text, path)
            return path
        } catch {
            throw .failed("cannot write PostgreSQL's configuration: \(error)")
        }
    }

    /// The text of pg_hba.conf; nil where the file is not generated.
    var generatedRules: String? { configuration.hostBasedAuthentication.map(ConfigurationText.lines) }

    /// Where a copy of a file of the configuration stands in the data directory, so that base backups bring it along.
    func backup(of file: String) -> String { "\(directory.path)/\(lastComponent(file)).backup" }

    /// Copies what a server runs with into its data directory (postgresql.md §11). Files that the configuration has
    /// elsewhere are not ours to copy.
    func saveBackups(_ parameters: ParameterMap) throws(SystemError) {
        var files = [configuration.configurationFile]
        if customConfiguration == nil { files.append(configuration.baseConfigurationFile) }
        if parameters["hba_file"] == nil { files.append(configuration.hostBasedAuthenticationFile) }
        if parameters["ident_file"] == nil { files.append(configuration.identityFile) }
        for file in files where Files.exists(file) { _ = try put(try Files.readText(file), backup(of: file)) }
    }
}
