#pragma once
// The codec alone: methods and properties to bytes and back. Nothing here touches a socket.
#include <amqp.h>
#include <amqp_framing.h>
