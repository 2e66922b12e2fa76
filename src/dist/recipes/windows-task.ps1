# Prepares the directory of the tokens and the scheduled task, in a PowerShell started as administrator.
#
# *S-1-5-18 is SYSTEM and *S-1-5-32-544 the Administrators: Windows translates their names, but not these
# numbers. Where Notepad asks for a name, save the secret without an extension. The account needs Modify on the
# directory, which the second line grants, and the right "Log on as a batch job" (secpol.msc, Local Policies,
# User Rights Assignment).
#
# No password is stored (the logon type is S4U), so the task reaches neither files on other machines nor files that
# are encrypted for a user: keep the token file on a local disk. What the program says is added to refresh.log in
# the same directory; there is no secret in it. Task Scheduler keeps nothing but the exit code: in decimal in the
# list of schtasks /Query ("Last Result"), in hex in its window. Besides this program's codes, 0x41303 means not yet
# run, 0x41301 running now, and 0xC000013A ended by Ctrl-C or with its console. To turn on the history of all tasks:
#     wevtutil sl Microsoft-Windows-TaskScheduler/Operational /e:true
# "End" in Task Scheduler is a kill, and so is the task's limit of ten minutes; a run needs less than two. A console
# window may flash up briefly.
mkdir C:\ProgramData\docusign
icacls C:\ProgramData\docusign /inheritance:r /grant:r 'DOMAIN\svc-docusign:(OI)(CI)M' '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F'
New-Item -ItemType File C:\ProgramData\docusign\client-secret, C:\ProgramData\docusign\docusign.json
icacls C:\ProgramData\docusign\client-secret /inheritance:r /grant:r 'DOMAIN\svc-docusign:R' '*S-1-5-32-544:F'
notepad C:\ProgramData\docusign\client-secret     # one line
notepad C:\ProgramData\docusign\docusign.json     # the token response
notepad docusign-refresh-task.xml                 # account, integration key, paths
schtasks /Create /TN docusign-refresh /XML docusign-refresh-task.xml
schtasks /Run /TN docusign-refresh
schtasks /Query /TN docusign-refresh /V /FO LIST
