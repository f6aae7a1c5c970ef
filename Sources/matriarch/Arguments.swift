/// The daemon's command line (configuration.md §8): `matriarch [configfile] [options]`.
struct Arguments: Sendable, Equatable {
    enum Mode: Sendable, Equatable {
        case run, validate, version, help
    }

    /// What is wrong with the command line.
    struct Invalid: Error, Equatable {
        var message: String
    }

    var mode = Mode.run
    /// A file or a directory of files; without one the environment is the configuration.
    var configuration: String?

    static let usage = """
        usage: matriarch [configfile] [options]

        Runs the daemon beside one PostgreSQL. configfile is a patroni.yml or a directory of such files;
        without it the PATRONI_* variables are the configuration.

          --validate-config   check the configuration and end
          --version           print the version and end
          -h, --help          print this and end
        """

    init(_ words: [String]) throws(Invalid) {
        for word in words {
            switch word {
            case "-h", "--help": mode = .help
            case "--version": mode = .version
            case "--validate-config": mode = .validate
            default:
                if word.hasPrefix("-") { throw Invalid(message: "unknown option \(word)") }
                if configuration != nil { throw Invalid(message: "more than one configuration: \(word)") }
                configuration = word
            }
        }
    }
}
