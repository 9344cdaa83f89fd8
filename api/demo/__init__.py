"""A portal and a captcha server to try Mooring against, both real sites on loopback."""
