import CAres

/// The library's own start: once in a process, before anything else of it.
enum AresLibrary {
    static let status = ares_library_init(ARES_LIB_INIT_ALL)
}
