#pragma once
// The reader alone: replies are parsed from bytes that our own stream has read.
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
