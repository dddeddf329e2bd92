#pragma once
#include <sqlite3.h>
#include <stddef.h>

// SQLITE_TRANSIENT is a cast macro, which Swift does not import.
static inline int coppice_bind_text(sqlite3_stmt *statement, int index, const char *text, int count) {
    return sqlite3_bind_text(statement, index, text, count, SQLITE_TRANSIENT);
}

static inline int coppice_bind_blob(sqlite3_stmt *statement, int index, const void *bytes, int count) {
    return count == 0 ? sqlite3_bind_zeroblob(statement, index, 0)
                      : sqlite3_bind_blob(statement, index, bytes, count, SQLITE_TRANSIENT);
}

// The name under which coppice_register_vfs adds the system's own file functions once more, without their sleep: a reader that
// meets the header of a write-ahead log half written, since its writer was stopped, would sleep ten seconds before it says so.
#define COPPICE_VFS "coppice"

static inline int coppice_no_sleep(sqlite3_vfs *vfs, int microseconds) {
    (void)vfs;
    return microseconds;
}

// Not by two threads at once.
static inline int coppice_register_vfs(void) {
    static sqlite3_vfs vfs;
    sqlite3_vfs *standard = sqlite3_vfs_find(NULL);
    if (!standard) return SQLITE_ERROR;
    vfs = *standard;
    vfs.zName = COPPICE_VFS;
    vfs.xSleep = coppice_no_sleep;
    return sqlite3_vfs_register(&vfs, 0);
}
