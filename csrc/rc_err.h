/* Error codes shared by every module. Zero is success, every error is negative. */
#ifndef RC_ERR_H
#define RC_ERR_H

enum {
    RC_OK = 0,
    RC_EINVAL = -1, /* an argument is out of its documented range */
    RC_ENOMEM = -2, /* memory could not be had; nothing was created */
    RC_ENOSPC = -3, /* the destination is too small; nothing was written */
    RC_EDATA = -4,  /* the input breaks its format; nothing was written */
};

#endif
