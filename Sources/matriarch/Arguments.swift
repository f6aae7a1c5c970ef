/// The daemon's command line (configuration.md §8): `matriarch [configfile] [options]`.
struct Arguments: Sendable, Equatable {
    enum Mode: Sendable, Equatable {
        case run, validate, sample, generate, reference, version, help
    }

    /// What is wrong with the command line.
    struct Invalid: Error, Equatable {
        var message: String
    }

    var mode = Mode.run
    /// A file or a directory of files; without one the environment is the configuration. For a file that is generated,
    /// where it goes.
    var configuration: String?
    /// With `--validate-config`: what is wrong with an address that somebody listens at already is no matter.
    var ignoresListenPorts = false
    /// With `--validate-config`: shows what holds.
    var prints = false
    /// How `--generate-config` reaches the server.
    var connection: String?

    static let usage = """
        usage: matriarch [configfile] [options]

        Runs the daemon beside one PostgreSQL. configfile is a patroni.yml or a directory of such files;
        without it the PATRONI_* variables are the configuration.

          --validate-config         check the configuration and this host, say what is wrong, and end
          -i, --ignore-listen-port  with it: addresses to listen at may be taken already
          -p, --print               with it: show what holds, and where each value comes from
          --generate-sample-config  write a configuration to begin with, to configfile or standard output
          --generate-config         write one for the PostgreSQL that runs here
          --dsn DSN                 with it: how to connect there; else as the variables of libpq say
          --reference               print the reference of all keys, in Markdown
          --version                 print the version and end
          -h, --help                print this and end

        Exit status: 0 done, or ended in order; 1 the configuration is wrong, or the daemon cannot go on;
        2 the command line is wrong.
        """

    private static let modes: [String: Mode] = [
        "--version": .version, "--validate-config": .validate, "--generate-sample-config": .sample,
        "--generate-config": .generate, "--reference": .reference,
    ]

    init(_ words: [String]) throws(Invalid) {
        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "-h", "--help":
                mode = .help
                return
            case "-i", "--ignore-listen-port": ignoresListenPorts = true
            case "-p", "--print": prints = true
            case "--dsn":
                guard let value = rest.popFirst() else { throw Invalid(message: "--dsn needs a connection string") }
                connection = value
            case _ where word.hasPrefix("--dsn="): connection = String(word.dropFirst(6))
            case _ where Arguments.modes[word] != nil:
                if mode != .run, mode != Arguments.modes[word] {
                    throw Invalid(message: "\(word) does not go with another option of its kind")
                }
                mode = Arguments.modes[word] ?? mode
            default:
                if word.hasPrefix("-") { throw Invalid(message: "unknown option \(word)") }
                if configuration != nil { throw Invalid(message: "more than one configuration: \(word)") }
                configuration = word
            }
        }
        try check()
    }

    private func check() throws(Invalid) {
        if ignoresListenPorts || prints, mode != .validate {
            throw Invalid(message: "\(prints ? "--print" : "--ignore-listen-port") goes with --validate-config")
        }
        if connection != nil, mode != .generate { throw Invalid(message: "--dsn goes with --generate-config") }
    }
}
