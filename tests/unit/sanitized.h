/* SPDX-License-Identifier: MIT */
/* sanitized.h - HG_SANITIZED: a sanitizer that has a memory of its own watches. */
#ifndef HG_TESTS_SANITIZED_H
#define HG_TESTS_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HG_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HG_SANITIZED
#endif
#endif

#endif
